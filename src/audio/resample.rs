//! Between a device's (or file's) rate and ours.

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{
    Async, FixedAsync, Resampler, SincInterpolationParameters, SincInterpolationType,
    WindowFunction,
};

use crate::audio::codec::RATE;

/// One mono channel through a resampler. Allocates in its constructors only.
pub(super) struct Resample {
    inner: Async<f32>,
    input: Vec<f32>,
    output: Vec<f32>,
}

/// No resampler exists for such a rate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{rate} Hz cannot be converted to 48000 Hz: {why}")]
pub struct RateError {
    pub rate: u32,
    pub why: String,
}

impl Resample {
    /// From `rate` to ours; every turn yields exactly `chunk` samples.
    pub(super) fn to_ours(rate: u32, chunk: usize) -> Result<Resample, RateError> {
        Resample::new(rate, RATE, rate, chunk, FixedAsync::Output)
    }

    /// From our rate to `rate`; every turn takes exactly `chunk` samples.
    pub(super) fn from_ours(rate: u32, chunk: usize) -> Result<Resample, RateError> {
        Resample::new(RATE, rate, rate, chunk, FixedAsync::Input)
    }

    fn new(
        from: u32,
        to: u32,
        named: u32,
        chunk: usize,
        fixed: FixedAsync,
    ) -> Result<Resample, RateError> {
        let error = |why: String| RateError { rate: named, why };
        if !RATES.contains(&named) {
            return Err(error(format!(
                "only {} to {} Hz",
                RATES.start(),
                RATES.end()
            )));
        }
        let ratio = f64::from(to) / f64::from(from);
        let sinc = SincInterpolationParameters::new(SINC, WindowFunction::Blackman2)
            .oversampling_factor(OVERSAMPLING)
            .interpolation(SincInterpolationType::Linear);
        let inner = Async::new_sinc(ratio, 1.0, &sinc, chunk, 1, fixed)
            .map_err(|why| error(why.to_string()))?;
        Ok(Resample {
            input: vec![0.0; inner.input_frames_max()],
            output: vec![0.0; inner.output_frames_max()],
            inner,
        })
    }

    /// The samples that the next turn takes, to be filled in.
    pub(super) fn input(&mut self) -> &mut [f32] {
        let needed = self.inner.input_frames_next();
        &mut self.input[..needed]
    }

    /// Converts what [`Resample::input`] was filled with.
    pub(super) fn turn(&mut self) -> &[f32] {
        let (taken, room) = (self.input.len(), self.output.len());
        let input = InterleavedSlice::new(&self.input, 1, taken);
        let output = InterleavedSlice::new_mut(&mut self.output, 1, room);
        let (Ok(input), Ok(mut output)) = (input, output) else {
            return &[];
        };
        match self.inner.process_into_buffer(&input, &mut output, None) {
            Ok((_, made)) => &self.output[..made],
            Err(_) => &[],
        }
    }
}

const RATES: std::ops::RangeInclusive<u32> = 4_000..=384_000;

/// Length of the filter in samples; half of it is the delay (1.3 ms).
const SINC: usize = 128;

const OVERSAMPLING: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    /// Peak of a 1 kHz tone of amplitude 0.5 after the first turns.
    fn peak_after(mut resample: Resample, rate: f32) -> (f32, usize) {
        let (mut at, mut peak, mut made) = (0, 0.0f32, 0);
        for turn in 0..50 {
            for sample in resample.input() {
                *sample = 0.5 * (at as f32 / rate * 1000.0 * std::f32::consts::TAU).sin();
                at += 1;
            }
            let out = resample.turn();
            made += out.len();
            if turn > 10 {
                peak = out.iter().fold(peak, |peak, s| peak.max(s.abs()));
            }
        }
        (peak, made)
    }

    #[test]
    fn a_tone_keeps_its_level_and_length_both_ways() {
        for rate in [8_000, 11_025, 16_000, 44_100, 96_000] {
            let (peak, made) = peak_after(Resample::to_ours(rate, 480).expect("in"), rate as f32);
            assert!((0.48..0.52).contains(&peak), "{rate} in: {peak}");
            assert_eq!(made, 50 * 480);
            let (peak, made) = peak_after(Resample::from_ours(rate, 480).expect("out"), 48_000.0);
            assert!((0.46..0.52).contains(&peak), "{rate} out: {peak}");
            let expected = 50.0 * 480.0 * rate as f32 / 48_000.0;
            assert!(
                (made as f32 - expected).abs() < 150.0,
                "{rate} out: {made} samples"
            );
        }
    }

    #[test]
    fn absurd_rates_are_refused_by_name() {
        let error = Resample::to_ours(0, 480).err().expect("refused");
        assert!(error.to_string().starts_with("0 Hz"), "{error}");
    }
}
