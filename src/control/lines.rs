//! Lines of bounded length, from a stream that may be anything.

use std::io;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// Cuts a stream into lines and never holds more than one of them.
#[derive(Debug)]
pub(super) struct Lines<R> {
    reader: BufReader<R>,
    longest: usize,
    line: Vec<u8>,
    too_long: bool,
}

/// One line, without its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    Text(String),
    /// It had more bytes than allowed; all of it was skipped.
    TooLong,
    NotUtf8,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// Lines of at most `longest` bytes.
    pub(super) fn new(reader: R, longest: usize) -> Lines<R> {
        Lines {
            reader: BufReader::new(reader),
            longest,
            line: Vec::new(),
            too_long: false,
        }
    }

    /// The next line, `None` at the end of the stream. A last line without its end counts.
    ///
    /// Cancel safe: what was read so far is kept for the next time.
    pub(super) async fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            let bytes = self.reader.fill_buf().await?;
            if bytes.is_empty() {
                let nothing = self.line.is_empty() && !self.too_long;
                return Ok((!nothing).then(|| self.take()));
            }
            let end = bytes.iter().position(|&byte| byte == b'\n');
            let part = &bytes[..end.unwrap_or(bytes.len())];
            if self.line.len() + part.len() > self.longest {
                self.too_long = true;
                self.line.clear();
            } else if !self.too_long {
                self.line.extend_from_slice(part);
            }
            let used = part.len() + usize::from(end.is_some());
            self.reader.consume(used);
            if end.is_some() {
                return Ok(Some(self.take()));
            }
        }
    }

    fn take(&mut self) -> Line {
        let bytes = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.too_long) {
            return Line::TooLong;
        }
        String::from_utf8(bytes).map_or(Line::NotUtf8, Line::Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines(bytes: &[u8], longest: usize) -> Vec<Line> {
        let mut lines = Lines::new(bytes, longest);
        let mut found = Vec::new();
        while let Some(line) = lines.next().await.expect("a slice can be read") {
            found.push(line);
        }
        found
    }

    fn text(text: &str) -> Line {
        Line::Text(text.to_owned())
    }

    #[tokio::test]
    async fn the_last_line_may_lack_its_end() {
        assert_eq!(
            lines(b"one\n\nthree", 10).await,
            [text("one"), text(""), text("three")]
        );
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_does_not_spoil_the_next() {
        assert_eq!(
            lines(b"12345\n123456\n1234\n", 5).await,
            [text("12345"), Line::TooLong, text("1234")]
        );
        let endless = vec![b'x'; 100_000];
        assert_eq!(lines(&endless, 5).await, [Line::TooLong]);
    }

    #[tokio::test]
    async fn bytes_that_are_no_text_are_told_apart() {
        assert_eq!(
            lines(b"\xff\xfe\nok\n", 5).await,
            [Line::NotUtf8, text("ok")]
        );
    }
}
