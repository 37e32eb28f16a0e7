//! How the screen is to behave; the config file and the command line fill it in.

use std::path::PathBuf;

use crate::config::{self, Config};
use crate::tui::glyphs::GlyphChoice;
use crate::tui::keys::Overrides;
use crate::tui::theme::Theme;

/// Settings of the screen.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    pub theme: Theme,
    pub glyphs: GlyphChoice,
    /// `[keys]` of the config file.
    pub keys: Overrides,
    /// Draws a second at most, 1..=10; meters over ssh get 5 at most whatever stands here.
    pub rate: u8,
    /// Ring the terminal's bell for a call.
    pub bell: bool,
    /// Ask the terminal for a desktop notification while it is not looked at.
    pub desktop: bool,
    /// Line mode instead of a screen. None: where the terminal cannot do better.
    pub plain: Option<bool>,
    /// The engine lives in a daemon: leaving the screen does not end it.
    pub attached: bool,
    /// Guide through sound and invite.
    pub first_run: bool,
    /// Where libraries that print to fd 2 are sent while the screen is up. None: nowhere.
    pub log: Option<PathBuf>,
}

impl Options {
    /// What the config file says of the screen; the rest as by default.
    pub fn from_config(config: &Config) -> Options {
        Options {
            theme: match config.ui.theme {
                config::Theme::Terminal => Theme::Terminal,
                config::Theme::HighContrast => Theme::HighContrast,
                config::Theme::Mono => Theme::Mono,
            },
            glyphs: match config.ui.glyphs {
                config::Glyphs::Auto => GlyphChoice::Auto,
                config::Glyphs::Unicode => GlyphChoice::Unicode,
                config::Glyphs::Ascii => GlyphChoice::Ascii,
            },
            keys: config.keys.clone(),
            rate: config.ui.rate.per_second(),
            bell: config.notify.bell,
            desktop: config.notify.desktop,
            ..Options::default()
        }
    }
}

impl Default for Options {
    fn default() -> Options {
        Options {
            theme: Theme::default(),
            glyphs: GlyphChoice::default(),
            keys: Overrides::new(),
            rate: 10,
            bell: true,
            desktop: true,
            plain: None,
            attached: false,
            first_run: false,
            log: None,
        }
    }
}
