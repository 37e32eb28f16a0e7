//! A recorded call as a file: Ogg Opus (RFC 7845) with two streams that know nothing of each other,
//! the own voice on the left and the far one on the right.

use std::io::{self, Write};

use audiopus::coder::Encoder;
use audiopus::{Application, Bitrate, Channels, SampleRate, Signal};
use ogg::{PacketWriteEndInfo as End, PacketWriter};

use crate::audio::codec::{CodecError, RATE, SAMPLES};

/// A file cannot be written on.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecordError {
    #[error(transparent)]
    Codec(#[from] CodecError),
    #[error(transparent)]
    Write(#[from] io::Error),
}

/// What stands in the file about the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    pub title: String,
    /// RFC 3339.
    pub date: String,
}

/// Writes one recording. Whatever is written is good up to the last whole second, even if nothing
/// more follows.
pub(super) struct RecordFile<W: Write> {
    ogg: PacketWriter<'static, W>,
    encoders: [Encoder; 2],
    /// The last packet says that it is the last, so one is always held back.
    held: Option<Vec<u8>>,
    /// Samples of each side so far.
    samples: u64,
    /// Samples that a player has to leave out at the beginning.
    skip: u64,
}

impl<W: Write> RecordFile<W> {
    pub(super) fn begin(out: W, label: &Label) -> Result<RecordFile<W>, RecordError> {
        let encoders = [encoder()?, encoder()?];
        let skip = encoders[0].lookahead().map_err(CodecError::from)? as u16;
        let mut ogg = PacketWriter::new(out);
        ogg.write_packet(head(skip), SERIAL, End::EndPage, 0)?;
        ogg.write_packet(tags(label), SERIAL, End::EndPage, 0)?;
        ogg.inner_mut().flush()?;
        Ok(RecordFile {
            ogg,
            encoders,
            held: None,
            samples: 0,
            skip: u64::from(skip),
        })
    }

    /// Adds 20 ms of both sides.
    pub(super) fn write(&mut self, sides: [&[f32; SAMPLES]; 2]) -> Result<(), RecordError> {
        let mut packet = Vec::with_capacity(2 * LONGEST);
        for (number, (encoder, side)) in self.encoders.iter_mut().zip(sides).enumerate() {
            let mut opus = [0; LONGEST];
            let length = encoder
                .encode_float(side, &mut opus)
                .map_err(CodecError::from)?;
            match number {
                0 => delimit(&opus[..length], &mut packet),
                _ => packet.extend_from_slice(&opus[..length]),
            }
        }
        if let Some(held) = self.held.replace(packet) {
            let is_second = self.samples.is_multiple_of(u64::from(RATE));
            let end = if is_second {
                End::EndPage
            } else {
                End::NormalPacket
            };
            self.ogg.write_packet(held, SERIAL, end, self.samples)?;
            if is_second {
                self.ogg.inner_mut().flush()?;
            }
        }
        self.samples += SAMPLES as u64;
        Ok(())
    }

    /// Makes it whole. What the encoders still hold back is brought out by one more packet.
    pub(super) fn finish(mut self) -> Result<(), RecordError> {
        let end = self.samples + self.skip;
        let silence = [0.0; SAMPLES];
        self.write([&silence, &silence])?;
        if let Some(held) = self.held.take() {
            self.ogg.write_packet(held, SERIAL, End::EndStream, end)?;
        }
        self.ogg.inner_mut().flush()?;
        Ok(())
    }
}

fn encoder() -> Result<Encoder, CodecError> {
    let mut opus = Encoder::new(SampleRate::Hz48000, Channels::Mono, Application::Voip)?;
    opus.set_bitrate(Bitrate::BitsPerSecond(BITS_PER_SECOND))?;
    opus.enable_vbr()?;
    opus.set_signal(Signal::Voice)?;
    opus.set_complexity(5)?;
    Ok(opus)
}

/// The identification header, RFC 7845 section 5.1: mapping family 1, two streams, none coupled.
fn head(skip: u16) -> Vec<u8> {
    let mut head = b"OpusHead".to_vec();
    head.extend([1, 2]);
    head.extend(skip.to_le_bytes());
    head.extend(RATE.to_le_bytes());
    head.extend([0, 0, 1, 2, 0, 0, 1]);
    head
}

/// The comment header, RFC 7845 section 5.2.
fn tags(label: &Label) -> Vec<u8> {
    let program = concat!("twocan ", env!("CARGO_PKG_VERSION"));
    let comments = [
        format!("ENCODER={program}"),
        format!("TITLE={}", label.title),
        format!("DATE={}", label.date),
        "DESCRIPTION=left: this side, right: the other side".to_owned(),
    ];
    let mut tags = b"OpusTags".to_vec();
    let mut put = |bytes: &[u8]| {
        tags.extend((bytes.len() as u32).to_le_bytes());
        tags.extend(bytes);
    };
    put(program.as_bytes());
    let count = (comments.len() as u32).to_le_bytes();
    let mut rest = Vec::new();
    for comment in &comments {
        rest.extend((comment.len() as u32).to_le_bytes());
        rest.extend(comment.as_bytes());
    }
    tags.extend(count);
    tags.extend(rest);
    tags
}

/// A packet of one frame that says how long it is, RFC 6716 appendix B: the only kind that may
/// stand before another. Our encoder makes no others.
fn delimit(opus: &[u8], out: &mut Vec<u8>) {
    let Some((&first, frame)) = opus.split_first() else {
        return;
    };
    out.push(first);
    let length = frame.len();
    if length < 252 {
        out.push(length as u8);
    } else {
        out.push(252 + (length & 3) as u8);
        out.push(((length - 252) >> 2) as u8);
    }
    out.extend(frame);
}

/// Of each side. Speech at this rate is hardly to be told from what came.
const BITS_PER_SECOND: i32 = 32_000;

/// Bytes that 20 ms may take.
const LONGEST: usize = 1000;

/// There is one stream of pages in the file, so any number names it.
const SERIAL: u32 = 1;

#[cfg(test)]
mod tests {
    use std::f32::consts::TAU;

    use ogg::PacketReader;

    use super::*;

    fn label() -> Label {
        Label {
            title: "Call with Chloé".to_owned(),
            date: "2026-11-23T07:00:00Z".to_owned(),
        }
    }

    fn tone(hertz: f32, from: usize) -> [f32; SAMPLES] {
        std::array::from_fn(|n| 0.4 * (TAU * hertz * (from + n) as f32 / RATE as f32).sin())
    }

    /// Records this many frames: 300 Hz here, 1000 Hz there.
    fn record(frames: usize) -> RecordFile<Vec<u8>> {
        let mut file = RecordFile::begin(Vec::new(), &label()).expect("begun");
        for frame in 0..frames {
            let at = frame * SAMPLES;
            file.write([&tone(300.0, at), &tone(1000.0, at)])
                .expect("written");
        }
        file
    }

    /// All packets, with the position of the page that they end on.
    fn packets(bytes: &[u8]) -> Vec<(Vec<u8>, u64)> {
        let mut reader = PacketReader::new(io::Cursor::new(bytes));
        let next = || reader.read_packet().ok().flatten();
        let packets = std::iter::from_fn(next);
        packets
            .map(|packet| (packet.data.clone(), packet.absgp_page()))
            .collect()
    }

    /// Takes a packet of two streams apart.
    fn apart(packet: &[u8]) -> [Vec<u8>; 2] {
        let (length, at) = match packet[1] {
            short @ 0..252 => (usize::from(short), 2),
            long => (usize::from(long) + 4 * usize::from(packet[2]), 3),
        };
        let mut left = vec![packet[0]];
        left.extend(&packet[at..at + length]);
        [left, packet[at + length..].to_vec()]
    }

    fn decoded(packets: &[Vec<u8>]) -> Vec<f32> {
        let mut decoder = audiopus_sys::Decoder::new(RATE as i32).expect("a decoder");
        let mut sound = Vec::new();
        for packet in packets {
            let mut pcm = [0.0; SAMPLES];
            assert_eq!(decoder.decode(packet, &mut pcm), Ok(SAMPLES));
            sound.extend(pcm);
        }
        sound
    }

    fn crossings(sound: &[f32]) -> usize {
        sound
            .windows(2)
            .filter(|pair| pair[0] < 0.0 && pair[1] >= 0.0)
            .count()
    }

    #[test]
    fn each_side_is_heard_on_its_own_channel_and_to_its_end() {
        let mut file = record(100);
        let skip = file.skip as usize;
        let bytes = {
            let end = file.samples + file.skip;
            let silence = [0.0; SAMPLES];
            file.write([&silence, &silence]).expect("written");
            let held = file.held.take().expect("one is held back");
            file.ogg
                .write_packet(held, SERIAL, End::EndStream, end)
                .expect("written");
            file.ogg.into_inner()
        };
        let packets = packets(&bytes);
        assert!(packets[0].0.starts_with(b"OpusHead\x01\x02"));
        assert!(packets[1].0.starts_with(b"OpusTags"));
        let sides: Vec<_> = packets[2..]
            .iter()
            .map(|(packet, _)| apart(packet))
            .collect();
        assert_eq!(sides.len(), 101);
        assert_eq!(
            packets.last().map(|last| last.1),
            Some(96_000 + skip as u64)
        );
        for (side, hertz) in [(0, 300), (1, 1000)] {
            let packets: Vec<_> = sides.iter().map(|sides| sides[side].clone()).collect();
            let sound = decoded(&packets);
            let second = &sound[skip + 24_000..skip + 72_000];
            assert!(
                crossings(second).abs_diff(hertz) <= 2,
                "{}",
                crossings(second)
            );
            let peak = second.iter().fold(0.0f32, |peak, s| peak.max(s.abs()));
            assert!((0.3..0.5).contains(&peak), "{peak}");
        }
    }

    #[test]
    fn what_is_cut_off_is_good_to_the_last_whole_second() {
        let mut bytes = record(175).ogg.into_inner();
        let whole = packets(&bytes);
        assert_eq!(
            whole.len() - 2,
            150,
            "three of three and a half seconds are out"
        );
        assert_eq!(whole.last().map(|last| last.1), Some(144_000));
        bytes.truncate(bytes.len() - 100);
        assert_eq!(packets(&bytes).len() - 2, 100);
    }

    #[test]
    fn lengths_are_written_as_the_standard_has_them() {
        for length in [0, 1, 251, 252, 253, 255, 256, 700] {
            let opus: Vec<u8> = (0..=length).map(|n| n as u8).collect();
            let mut packet = Vec::new();
            delimit(&opus, &mut packet);
            packet.extend([7, 8, 9]);
            assert_eq!(apart(&packet), [opus, vec![7, 8, 9]]);
        }
    }
}
