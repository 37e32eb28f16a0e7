//! How loud sound is, and making it louder.

/// Multiplies by `gain`, and stops at full scale.
pub(super) fn amplify(sound: &mut [f32], gain: f32) {
    if gain == 1.0 {
        return;
    }
    for sample in sound {
        *sample = (*sample * gain).clamp(-1.0, 1.0);
    }
}

/// The higher of `before` and the peak of `sound`, at most 1.
pub(super) fn peak(before: f32, sound: &[f32]) -> f32 {
    sound
        .iter()
        .fold(before, |peak, sample| peak.max(sample.abs()))
        .min(1.0)
}
