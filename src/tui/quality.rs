//! How good a call sounds, in one word.

/// The figures of the last second of a call, as the engine tells them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stats {
    pub rtt_ms: f32,
    pub jitter_ms: f32,
    /// Share (0..1) of frames that never came or came too late.
    pub loss: f32,
    pub buffer_ms: f32,
    pub concealed: u64,
    pub sent: u64,
    pub received: u64,
    /// Round trip to a sound server on another computer.
    pub audio_link_ms: Option<f32>,
    /// Not even the least of our voice gets through.
    pub starved: bool,
}

/// A word for the quality.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quality {
    Good,
    Fair,
    Poor,
    /// Nothing is heard from the other side.
    Lost,
}

impl Quality {
    pub fn word(self) -> &'static str {
        match self {
            Quality::Good => "good",
            Quality::Fair => "fair",
            Quality::Poor => "poor",
            Quality::Lost => "lost",
        }
    }

    /// Rates the last second by the E-model (ITU-T G.107, short form for packet speech).
    pub fn rate(stats: &Stats) -> Quality {
        let delay = stats.rtt_ms / 2.0 + stats.buffer_ms + FRAMES_MS;
        let late = (delay - 177.3).max(0.0);
        let delay_impairment = 0.024 * delay + 0.11 * late;
        let percent = (stats.loss * 100.0).clamp(0.0, 100.0);
        let loss_impairment = 95.0 * percent / (percent + LOSS_ROBUSTNESS);
        let rating = 93.2 - delay_impairment - loss_impairment;
        // The borders of "satisfied" and "some users dissatisfied" in G.109.
        match rating {
            _ if stats.loss >= 0.995 => Quality::Lost,
            80.0.. => Quality::Good,
            70.0..80.0 => Quality::Fair,
            _ => Quality::Poor,
        }
    }
}

/// One 20 ms frame being filled and the codec's look-ahead, in ms.
const FRAMES_MS: f32 = 26.5;

/// `Bpl` of G.113 for a codec that conceals losses well (G.711 with concealment: 25.1).
const LOSS_ROBUSTNESS: f32 = 25.1;

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(rtt_ms: f32, loss: f32) -> Quality {
        Quality::rate(&Stats {
            rtt_ms,
            loss,
            buffer_ms: 30.0,
            ..Stats::default()
        })
    }

    #[test]
    fn delay_and_loss_lower_the_word() {
        assert_eq!(rate(48.0, 0.004), Quality::Good);
        assert_eq!(rate(48.0, 0.05), Quality::Fair);
        assert_eq!(rate(48.0, 0.15), Quality::Poor);
        assert_eq!(rate(900.0, 0.0), Quality::Poor);
        assert_eq!(rate(48.0, 1.0), Quality::Lost);
    }
}
