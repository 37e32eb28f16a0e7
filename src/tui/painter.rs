//! Puts pictures on a terminal: a frame leaves in one write.

use std::io::{self, BufWriter, Stdout, Write};
use std::path::PathBuf;

use crossterm::queue;
use crossterm::terminal::{BeginSynchronizedUpdate, EndSynchronizedUpdate};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;

use crate::tui::driver::Surface;
use crate::tui::model::Model;
use crate::tui::terminal::Guard;
use crate::tui::view;
use crate::tui::wizard::NameStep;

/// Draws models with a ratatui terminal over any writer.
#[derive(Debug)]
pub struct Painter<W: Write> {
    terminal: Terminal<CrosstermBackend<W>>,
}

impl<W: Write> Painter<W> {
    pub fn new(terminal: Terminal<CrosstermBackend<W>>) -> Painter<W> {
        Painter { terminal }
    }

    /// Draws what differs from the last picture. `whole` marks a change of the layout: then the
    /// terminal is asked to show all of it at once. Meters alone change too little to tear.
    pub fn draw(&mut self, model: &Model, whole: bool) -> io::Result<()> {
        if whole {
            queue!(self.terminal.backend_mut(), BeginSynchronizedUpdate)?;
        }
        self.terminal.draw(|frame| view::view(model, frame))?;
        if whole {
            queue!(self.terminal.backend_mut(), EndSynchronizedUpdate)?;
        }
        Write::flush(self.terminal.backend_mut())
    }

    /// Draws the first step of the first start.
    pub fn draw_name(&mut self, step: &NameStep, model: &Model) -> io::Result<()> {
        self.terminal
            .draw(|frame| view::name_step(model, step, frame))?;
        Write::flush(self.terminal.backend_mut())
    }

    pub fn emit(&mut self, sequence: &str) -> io::Result<()> {
        let out = self.terminal.backend_mut();
        out.write_all(sequence.as_bytes())?;
        Write::flush(out)
    }

    /// Empties the terminal and forgets the last picture. Not by `Terminal::clear`: that asks the
    /// terminal where its cursor is, and the answer would go to whoever reads the keys.
    pub fn clear(&mut self) -> io::Result<()> {
        let size = self.terminal.size()?;
        self.terminal
            .resize(Rect::new(0, 0, size.width, size.height))
    }
}

/// The real terminal: guard and painter.
#[derive(Debug)]
pub struct Screen {
    painter: Painter<BufWriter<Stdout>>,
    guard: Option<Guard>,
    log: Option<PathBuf>,
}

impl Screen {
    /// Takes the terminal.
    ///
    /// # Errors
    /// As `Guard::take`; or the terminal does not tell its size.
    pub fn open(log: Option<PathBuf>) -> io::Result<Screen> {
        let guard = Guard::take(log.as_deref())?;
        // Bare stdout is line buffered: a frame would leave in several packets.
        let out = BufWriter::with_capacity(FRAME_BYTES, io::stdout());
        let terminal = Terminal::new(CrosstermBackend::new(out))?;
        Ok(Screen {
            painter: Painter::new(terminal),
            guard: Some(guard),
            log,
        })
    }
}

impl Screen {
    /// Draws the first step of the first start.
    pub fn draw_name(&mut self, step: &NameStep, model: &Model) -> io::Result<()> {
        self.painter.draw_name(step, model)
    }
}

impl Surface for Screen {
    fn draw(&mut self, model: &Model, whole: bool) -> io::Result<()> {
        self.painter.draw(model, whole)
    }

    fn emit(&mut self, sequence: &str) -> io::Result<()> {
        self.painter.emit(sequence)
    }

    fn repaint(&mut self) -> io::Result<()> {
        self.painter.clear()
    }

    fn suspend(&mut self) -> io::Result<()> {
        if let Some(guard) = self.guard.take() {
            self.guard = Some(guard.suspend(self.log.as_deref())?);
        }
        self.painter.clear()
    }

    fn is_up(&self) -> bool {
        self.guard.as_ref().is_some_and(Guard::is_up)
    }
}

/// More than a full repaint of a large terminal.
const FRAME_BYTES: usize = 64 * 1024;
