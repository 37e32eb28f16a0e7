//! From one version of a sound to another without a click.

/// How much of the other version is heard.
#[derive(Debug)]
pub(super) struct Fade {
    share: f32,
}

impl Fade {
    pub(super) fn off() -> Fade {
        Fade { share: 0.0 }
    }

    /// True if any of the other version was heard at the end of the last frame.
    pub(super) fn is_on(&self) -> bool {
        self.share > 0.0
    }

    /// Leaves `other` or `sound` in `sound`, and slides from one to the other within this frame when
    /// that has changed.
    pub(super) fn mix(&mut self, sound: &mut [f32], other: &[f32], wanted: bool) {
        let to = if wanted { 1.0 } else { 0.0 };
        let from = std::mem::replace(&mut self.share, to);
        if from == to {
            if wanted {
                sound.copy_from_slice(other);
            }
            return;
        }
        let step = (to - from) / sound.len() as f32;
        let mut share = from;
        for (sample, other) in sound.iter_mut().zip(other) {
            share += step;
            *sample += (other - *sample) * share;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_one_or_the_other_and_slides_in_between() {
        let mut fade = Fade::off();
        let mut sound = [1.0; 100];
        fade.mix(&mut sound, &[2.0; 100], false);
        assert_eq!(sound, [1.0; 100]);
        fade.mix(&mut sound, &[2.0; 100], true);
        assert!(sound.is_sorted() && sound[0] < 1.02 && sound[99] > 1.99);
        let mut sound = [1.0; 100];
        fade.mix(&mut sound, &[2.0; 100], true);
        assert_eq!(sound, [2.0; 100]);
    }
}
