//! Reads the fields of one frame, and writes them.

use super::message::FrameError;

/// What is left of a frame.
pub(in crate::net) struct Cursor<'a>(pub(in crate::net) &'a [u8]);

impl<'a> Cursor<'a> {
    pub(in crate::net) fn bytes(&mut self, count: usize) -> Result<&'a [u8], FrameError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(FrameError::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(in crate::net) fn array<const N: usize>(&mut self) -> Result<[u8; N], FrameError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(FrameError::Short)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(in crate::net) fn u8(&mut self) -> Result<u8, FrameError> {
        self.array().map(u8::from_le_bytes)
    }

    pub(in crate::net) fn u16(&mut self) -> Result<u16, FrameError> {
        self.array().map(u16::from_le_bytes)
    }

    pub(in crate::net) fn u64(&mut self) -> Result<u64, FrameError> {
        self.array().map(u64::from_le_bytes)
    }

    /// What is left must be zeros that bring the frame of `len` bytes behind its length to exactly
    /// the size that `pad` gives it.
    pub(in crate::net) fn end(self, len: usize, pad: fn(usize) -> usize) -> Result<(), FrameError> {
        let used = 2 + len - self.0.len();
        let right = pad(used) == 2 + len && self.0.iter().all(|&byte| byte == 0);
        right.then_some(()).ok_or(FrameError::Padding)
    }
}

/// A frame of that kind with room for its length, which [`finish`] writes.
pub(in crate::net) fn start(kind: u8) -> Vec<u8> {
    vec![0, 0, kind]
}

/// Pads the frame and writes its length.
pub(in crate::net) fn finish(mut frame: Vec<u8>, pad: fn(usize) -> usize) -> Vec<u8> {
    frame.resize(pad(frame.len()), 0);
    let len = u16::try_from(frame.len() - 2).unwrap_or(u16::MAX);
    frame[..2].copy_from_slice(&len.to_le_bytes());
    frame
}
