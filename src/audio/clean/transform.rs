//! A Fourier transform of one length, and what it needs.

use sonora_fft::pffft::{FftType, Pffft, PffftBuffer};

/// Of real numbers. A spectrum is the real and imaginary parts in turns, with that of half the rate,
/// which is real, in the place of the first imaginary one.
#[derive(Debug)]
pub(super) struct Transform {
    inner: Pffft,
    from: PffftBuffer,
    to: PffftBuffer,
}

impl Transform {
    /// For `length` numbers, a power of two from 32 on.
    pub(super) fn new(length: usize) -> Transform {
        let inner = Pffft::new(length, FftType::Real);
        Transform {
            from: inner.create_buffer(),
            to: inner.create_buffer(),
            inner,
        }
    }

    /// The spectrum of a sound of this length.
    pub(super) fn forth(&mut self, sound: &[f32]) -> &[f32] {
        self.from.as_mut_slice().copy_from_slice(sound);
        self.inner.forward(&self.from, &mut self.to, true);
        self.to.as_slice()
    }

    /// The sound of a spectrum, times its length.
    pub(super) fn back(&mut self, spectrum: &[f32]) -> &[f32] {
        self.from.as_mut_slice().copy_from_slice(spectrum);
        self.inner.backward(&self.from, &mut self.to, true);
        self.to.as_slice()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back_is_the_same_times_its_length() {
        let mut transform = Transform::new(64);
        let sound: [f32; 64] = std::array::from_fn(|i| (i as f32 * 0.7).sin() + 0.25);
        let spectrum = transform.forth(&sound).to_vec();
        let mean: f32 = sound.iter().sum();
        assert!((spectrum[0] - mean).abs() < 1e-3, "{}", spectrum[0]);
        for (back, sample) in transform.back(&spectrum).iter().zip(sound) {
            assert!((back / 64.0 - sample).abs() < 1e-5);
        }
    }
}
