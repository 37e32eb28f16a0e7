//! Opus, both ways. The only file that knows `audiopus` and the decoder beside it, but for what a
//! recorded call is written by (`record_file.rs`).

use std::fmt;

use audiopus::coder::Encoder as Opus;
use audiopus::{Application, Bandwidth, Bitrate, Channels, SampleRate, Signal};

use crate::phone::types::{MAX_OPUS, Opus as Packet, Rung};

/// Samples a second, everywhere in the program but right at a device of another rate.
pub const RATE: u32 = 48_000;

/// Samples in one 20 ms frame.
pub const SAMPLES: usize = 960;

/// libopus did not do as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The encoder refused a setting or a frame.
    #[error("the Opus encoder failed: {0}")]
    Encode(String),
    /// The decoder refused a setting or a packet that had passed the check.
    #[error("the Opus decoder failed: {0}")]
    Decode(#[from] audiopus_sys::ErrorCode),
    /// A packet that is not one 20 ms frame of mono. It never reaches libopus.
    #[error("not an Opus packet of 20 ms mono")]
    Packet,
}

/// Turns 20 ms of sound into one Opus packet.
pub struct Encoder {
    opus: Opus,
    complexity: u8,
    bits: u32,
    fec: bool,
}

impl Encoder {
    /// `complexity` is 0..=10: 10 is best, 6 takes three quarters of its time and sounds nearly the
    /// same (PESQ-WB 4.47 and 4.45), which is what a call uses; 5 is hardly quicker (4.42). Where
    /// there are few bits for a frame it is heard, and 10 is used (with copies at 5 and 20 % loss
    /// 4.26 and 3.95, with 6 it is 4.23 and 3.91).
    ///
    /// The rate is variable up to the size of a packet: libopus' own constant rate costs nearly
    /// twice the processor time, as it tries until a frame fits exactly.
    pub fn new(complexity: u8) -> Result<Encoder, CodecError> {
        let mut opus = Opus::new(SampleRate::Hz48000, Channels::Mono, Application::Voip)?;
        opus.enable_vbr()?;
        opus.disable_vbr_constraint()?;
        opus.disable_dtx()?;
        opus.disable_inband_fec()?;
        opus.set_signal(Signal::Voice)?;
        opus.set_max_bandwidth(Bandwidth::Wideband)?;
        let complexity = complexity.min(10);
        opus.set_complexity(complexity)?;
        Ok(Encoder {
            opus,
            complexity,
            bits: 0,
            fec: false,
        })
    }

    /// From the next frame on this many bits a second are made, and with `fec` a part of them
    /// repeats each frame in the next one.
    pub fn aim(&mut self, bits: u32, fec: bool) -> Result<(), CodecError> {
        if bits != self.bits {
            self.opus
                .set_bitrate(Bitrate::BitsPerSecond(bits.min(MOST_BITS) as i32))?;
            let is_thin = bits <= THIN_BITS;
            self.opus
                .set_complexity(if is_thin { 10 } else { self.complexity })?;
            self.bits = bits;
        }
        if fec != self.fec {
            self.opus.set_inband_fec(fec)?;
            self.opus
                .set_packet_loss_perc(if fec { TOLD_LOSS } else { 0 })?;
            self.fec = fec;
        }
        Ok(())
    }

    /// The packet has at most `room` bytes, and never more than [`MAX_OPUS`].
    pub fn encode(&mut self, pcm: &[f32; SAMPLES], room: usize) -> Result<Packet, CodecError> {
        let mut packet = Packet::from([0; MAX_OPUS]);
        let room = room.min(MAX_OPUS);
        let length = self.opus.encode_float(pcm, &mut packet[..room])?;
        packet.truncate(length);
        Ok(packet)
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Encoder")
    }
}

impl From<audiopus::Error> for CodecError {
    fn from(error: audiopus::Error) -> CodecError {
        CodecError::Encode(error.to_string())
    }
}

/// Turns packets into sound and bridges the missing ones.
#[derive(Debug)]
pub struct Decoder {
    opus: audiopus_sys::Decoder,
    complexity: u8,
    /// Frames for which it still counts that each has few bits.
    thin: u8,
    is_enhancing: bool,
}

impl Decoder {
    /// `complexity` is 0..=10: from 5 on, losses are bridged by a neural network; from 7 on, speech
    /// is enhanced by another one at several times the cost. With 5 or 6 that is done where frames
    /// have few bits only, since it is heard there (PESQ-WB +0.1 to +0.16 at 12 to 16 kbit/s, +0.06
    /// at 24, nothing above): where packets are small, or repair takes its part.
    pub fn new(complexity: u8) -> Result<Decoder, CodecError> {
        let complexity = complexity.min(10);
        let mut opus = audiopus_sys::Decoder::new(RATE as i32)?;
        opus.set_complexity(i32::from(complexity))?;
        Ok(Decoder {
            opus,
            complexity,
            thin: 0,
            is_enhancing: false,
        })
    }

    /// A packet of this size has come; copies of other frames take bits from each.
    pub fn note_room(&mut self, rung: Rung, has_copies: bool) {
        if has_copies || rung.bits() <= THIN_BITS {
            self.thin = LASTING;
        }
    }

    /// `packet` may be anything a peer can think of.
    pub fn decode(&mut self, packet: &[u8], pcm: &mut [f32; SAMPLES]) -> Result<(), CodecError> {
        if !is_one_frame(packet) {
            return Err(CodecError::Packet);
        }
        self.suit(packet)?;
        match self.opus.decode(packet, pcm)? {
            SAMPLES => Ok(()),
            _ => Err(CodecError::Packet),
        }
    }

    /// Decodes the frame before `packet` from the repair in it, if it has one.
    pub fn recover(&mut self, packet: &[u8], pcm: &mut [f32; SAMPLES]) -> Result<(), CodecError> {
        if !is_one_frame(packet) {
            return Err(CodecError::Packet);
        }
        match self.opus.recover(packet, pcm)? {
            SAMPLES => Ok(()),
            _ => Err(CodecError::Packet),
        }
    }

    /// Continues the sound over a gap, a multiple of 2.5 ms long.
    pub fn conceal(&mut self, pcm: &mut [f32]) -> Result<(), CodecError> {
        self.opus.conceal(pcm)?;
        Ok(())
    }

    /// Changes the effort with the bits that frames have. What is said does not count: a packet of
    /// silence is short at any rate.
    fn suit(&mut self, packet: &[u8]) -> Result<(), CodecError> {
        if audiopus_sys::has_repair(packet) {
            self.thin = LASTING;
        }
        let enhances = self.thin > 0;
        self.thin = self.thin.saturating_sub(1);
        if enhances != self.is_enhancing && (5..ENHANCING).contains(&self.complexity) {
            let complexity = if enhances { ENHANCING } else { self.complexity };
            self.opus.set_complexity(i32::from(complexity))?;
        }
        self.is_enhancing = enhances;
        Ok(())
    }
}

/// True for a packet from which the frame before it can be decoded as well.
pub fn mends(packet: &[u8]) -> bool {
    is_one_frame(packet) && audiopus_sys::has_repair(packet)
}

/// True for 20 ms of mono by the table of contents byte (RFC 6716 section 3.1) and a length that
/// the phone may send.
fn is_one_frame(packet: &[u8]) -> bool {
    let Some((toc, rest)) = packet.split_first() else {
        return false;
    };
    let frames = match (toc & 3, rest.first()) {
        (0, _) => 1,
        (1 | 2, _) => 2,
        (_, Some(count)) => usize::from(count & 0x3f),
        (_, None) => return false,
    };
    let stereo = toc & 4 != 0;
    let samples = frames * samples_in(toc >> 3);
    packet.len() <= MAX_OPUS && !stereo && samples == SAMPLES
}

/// Samples in one frame of a configuration, RFC 6716 table 2.
fn samples_in(configuration: u8) -> usize {
    match configuration {
        0..12 => [480, 960, 1920, 2880][usize::from(configuration % 4)],
        12..16 => [480, 960][usize::from(configuration % 2)],
        _ => [120, 240, 480, 960][usize::from(configuration % 4)],
    }
}

/// From this complexity on libopus enhances speech (by NoLACE).
const ENHANCING: u8 = 7;

/// Frames of 24 kbit/s and less are thin.
const THIN_BITS: u32 = 24_000;

/// Frames for which a small packet, copies or a repair count: a second.
const LASTING: u8 = 50;

/// What the largest packet comes to in 20 ms.
const MOST_BITS: u32 = MAX_OPUS as u32 * 8 * 50;

/// Percents of loss for which libopus makes its repetition. For more it takes so much from the
/// frame itself that the sum sounds worse.
const TOLD_LOSS: u8 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_fits_and_comes_back() {
        let mut encoder = Encoder::new(10).expect("encoder");
        encoder.aim(32_000, false).expect("a rate");
        let mut decoder = Decoder::new(5).expect("decoder");
        let mut heard = [0.0; SAMPLES];
        for round in 0..100 {
            // A second of silence, then a second of tone.
            let loud = if round < 50 { 0.0 } else { 0.5 };
            let pcm = std::array::from_fn(|i| loud * (i as f32 * 0.05).sin());
            let packet = encoder.encode(&pcm, 80).expect("encoded");
            assert!((1..=80).contains(&packet.len()));
            assert!(is_one_frame(&packet));
            decoder.decode(&packet, &mut heard).expect("decoded");
        }
        let peak = heard.iter().fold(0.0f32, |peak, s| peak.max(s.abs()));
        assert!((0.4..0.7).contains(&peak), "peak {peak}");
    }

    #[test]
    fn speech_is_enhanced_where_frames_have_few_bits_whatever_is_said() {
        let mut encoder = Encoder::new(6).expect("encoder");
        encoder.aim(32_000, false).expect("a rate");
        let mut decoder = Decoder::new(5).expect("decoder");
        let silence = encoder.encode(&[0.0; SAMPLES], 80).expect("encoded");
        let mut enhances = |rung, has_copies| {
            let mut heard = [0.0; SAMPLES];
            for _ in 0..=LASTING {
                decoder.note_room(rung, has_copies);
                decoder.decode(&silence, &mut heard).expect("decoded");
            }
            decoder.is_enhancing
        };
        assert!(!enhances(Rung::USUAL, false));
        assert!(enhances(Rung::USUAL, true));
        assert!(!enhances(Rung::USUAL, false));
        assert!(enhances(Rung::numbered(2), false));
        assert!(!enhances(Rung::numbered(4), false));
    }

    #[test]
    fn other_packets_never_reach_libopus() {
        let hostile: [&[u8]; 7] = [
            &[],
            &[3],                    // code 3 without a frame count
            &[8 << 3 | 3, 0],        // no frame at all
            &[9 << 3 | 1, 0, 0],     // 2 x 20 ms
            &[11 << 3, 0],           // 60 ms
            &[9 << 3 | 4, 0],        // stereo
            &[9 << 3; MAX_OPUS + 1], // too long
        ];
        let mut decoder = Decoder::new(5).expect("decoder");
        let mut heard = [0.0; SAMPLES];
        for packet in hostile {
            let answer = decoder.decode(packet, &mut heard);
            assert_eq!(answer, Err(CodecError::Packet), "{packet:?}");
        }
    }

    #[test]
    fn noise_for_packets_never_panics() {
        let mut decoder = Decoder::new(5).expect("decoder");
        let mut heard = [0.0; SAMPLES];
        let mut random = 1u32;
        let mut passed = 0;
        for _ in 0..5000 {
            let length = random as usize % (MAX_OPUS + 2);
            let packet: Vec<u8> = (0..length)
                .map(|_| {
                    random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (random >> 24) as u8
                })
                .collect();
            random = random.wrapping_add(12345);
            passed += u32::from(decoder.decode(&packet, &mut heard).is_ok());
            if heard.iter().any(|s| !s.is_finite()) {
                panic!("not a number out of {packet:?}");
            }
        }
        assert!(passed > 100, "the check lets too little through: {passed}");
    }
}
