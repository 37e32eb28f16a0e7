//! Colours by role. Only the terminal's own 16 colours, and never colour alone: every role that
//! matters differs by bold, reverse or its words as well.

use ratatui::style::{Color, Modifier, Style};

/// A named set of colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    /// The terminal's own foreground and background, a few of its 16 colours.
    #[default]
    Terminal,
    /// White on black, bright colours.
    HighContrast,
    /// No colour at all.
    Mono,
}

/// What a piece of text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Plain,
    /// Headings, names, keys.
    Strong,
    Good,
    Warn,
    Bad,
    /// The row under the cursor in the pane with the focus.
    Selected,
    /// Must not be overlooked: MUTED, an incoming call.
    Alarm,
    Border,
    /// The border of the pane with the focus.
    Focus,
}

impl Theme {
    pub fn style(self, role: Role) -> Style {
        let style = self.base().add_modifier(modifier(role));
        match self {
            Theme::Mono => style,
            Theme::Terminal => match role {
                Role::Good => style.fg(Color::Green),
                Role::Warn => style.fg(Color::Yellow),
                Role::Bad => style.fg(Color::Red),
                Role::Focus => style.fg(Color::Cyan),
                _ => style,
            },
            Theme::HighContrast => match role {
                Role::Good => style.fg(Color::LightGreen),
                Role::Warn => style.fg(Color::LightYellow),
                Role::Bad => style.fg(Color::LightRed),
                Role::Focus => style.fg(Color::LightCyan),
                _ => style,
            },
        }
    }

    fn base(self) -> Style {
        match self {
            Theme::HighContrast => Style::new().fg(Color::White).bg(Color::Black),
            Theme::Terminal | Theme::Mono => Style::new(),
        }
    }
}

fn modifier(role: Role) -> Modifier {
    match role {
        Role::Plain | Role::Border | Role::Good => Modifier::empty(),
        Role::Strong | Role::Warn | Role::Bad | Role::Focus => Modifier::BOLD,
        Role::Selected => Modifier::REVERSED,
        Role::Alarm => Modifier::BOLD.union(Modifier::REVERSED),
    }
}
