//! The raw libopus 1.6.1 bindings under the name that `audiopus` looks for, and a safe decoder.
//!
//! `audiopus` gives no way to set a decoder's complexity, on which libopus' neural loss concealment
//! depends; [`Decoder`] does. All unsafe code of the project stands in this file.
#![no_std]
pub use opusic_sys::*;

use core::fmt;
use core::ptr::{self, NonNull};

/// A mono libopus decoder.
pub struct Decoder(NonNull<OpusDecoder>);

/// A code below zero that libopus has answered with, such as [`OPUS_INVALID_PACKET`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorCode(pub i32);

// SAFETY: a decoder is plain memory without ties to the thread that made it, and every use of it
// goes through `&mut self`.
unsafe impl Send for Decoder {}

impl Decoder {
    /// A decoder for `rate` samples a second (8000, 12000, 16000, 24000 or 48000).
    pub fn new(rate: i32) -> Result<Decoder, ErrorCode> {
        let mut code = OPUS_OK;
        // SAFETY: `code` outlives the call; the answer is checked for null.
        let decoder = unsafe { opus_decoder_create(rate, 1, &mut code) };
        NonNull::new(decoder).map(Decoder).ok_or(ErrorCode(code))
    }

    /// 0..=10. From 5 on losses are concealed by a neural network, from 6 (7) on speech is enhanced
    /// by LACE (NoLACE), which costs more time.
    pub fn set_complexity(&mut self, complexity: i32) -> Result<(), ErrorCode> {
        // SAFETY: the pointer is a live decoder and this request takes one int.
        let code =
            unsafe { opus_decoder_ctl(self.0.as_ptr(), OPUS_SET_COMPLEXITY_REQUEST, complexity) };
        counted(code).map(|_| ())
    }

    /// Decodes one packet, returns the number of samples written to the front of `pcm`.
    ///
    /// An empty packet is refused: libopus would take it for a lost one.
    pub fn decode(&mut self, packet: &[u8], pcm: &mut [f32]) -> Result<usize, ErrorCode> {
        if packet.is_empty() {
            return Err(ErrorCode(OPUS_BAD_ARG));
        }
        self.run(packet, pcm, 0)
    }

    /// Decodes what came before `packet` from the low-rate repair in it, or conceals it where there
    /// is none ([`has_repair`]). The length of `pcm` must be what is missing, a multiple of 2.5 ms.
    pub fn recover(&mut self, packet: &[u8], pcm: &mut [f32]) -> Result<usize, ErrorCode> {
        if packet.is_empty() {
            return Err(ErrorCode(OPUS_BAD_ARG));
        }
        self.run(packet, pcm, 1)
    }

    /// Invents the whole of `pcm` in the place of a packet that never came. Its length must be a
    /// multiple of 2.5 ms.
    pub fn conceal(&mut self, pcm: &mut [f32]) -> Result<usize, ErrorCode> {
        self.run(&[], pcm, 0)
    }

    /// An empty packet stands for a lost one.
    fn run(&mut self, packet: &[u8], pcm: &mut [f32], fec: i32) -> Result<usize, ErrorCode> {
        let bytes = length(packet.len())?;
        let room = length(pcm.len())?;
        let data = if packet.is_empty() {
            ptr::null()
        } else {
            packet.as_ptr()
        };
        // SAFETY: pointers and lengths belong together, and a null pointer is libopus' sign for a
        // loss; libopus writes at most `room` samples and keeps neither pointer.
        let code =
            unsafe { opus_decode_float(self.0.as_ptr(), data, bytes, pcm.as_mut_ptr(), room, fec) };
        counted(code)
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: made by opus_decoder_create and never given away.
        unsafe { opus_decoder_destroy(self.0.as_ptr()) }
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Decoder")
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "libopus error {}", self.0)
    }
}

impl core::error::Error for ErrorCode {}

/// True for a packet that carries a low-rate repair of what came before it.
pub fn has_repair(packet: &[u8]) -> bool {
    let Ok(bytes) = length(packet.len()) else {
        return false;
    };
    // SAFETY: libopus reads `bytes` bytes, which `packet` has; none at all is not asked for.
    bytes > 0 && unsafe { opus_packet_has_lbrr(packet.as_ptr(), bytes) } > 0
}

/// Stretches the packet of `length` bytes at the front of `room` to the whole of it, with padding
/// that every decoder skips (RFC 6716 section 3.2.5).
pub fn pad(room: &mut [u8], length: usize) -> Result<(), ErrorCode> {
    if length == 0 || length > room.len() {
        return Err(ErrorCode(OPUS_BAD_ARG));
    }
    let (bytes, whole) = (self::length(length)?, self::length(room.len())?);
    // SAFETY: libopus reads `bytes` and writes `whole` bytes, which `room` has.
    let code = unsafe { opus_packet_pad(room.as_mut_ptr(), bytes, whole) };
    counted(code).map(|_| ())
}

fn counted(code: i32) -> Result<usize, ErrorCode> {
    usize::try_from(code).map_err(|_| ErrorCode(code))
}

fn length(bytes: usize) -> Result<i32, ErrorCode> {
    i32::try_from(bytes).map_err(|_| ErrorCode(OPUS_BAD_ARG))
}
