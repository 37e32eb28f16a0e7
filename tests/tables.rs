//! What is written about the program agrees with the program: manual, README, help, example
//! configuration and key table.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use clap::{Command, CommandFactory};
use twocan::cli::{Cli, Exit};
use twocan::config::{Config, TEMPLATE};
use twocan::tui::action::{Entry, TABLE};

#[test]
fn the_manual_names_every_command() {
    let manual = manual();
    for path in command_paths() {
        assert!(
            manual.contains(&path),
            "man/twocan.1 does not name `{path}`"
        );
    }
}

#[test]
fn the_manual_names_every_option_and_variable() {
    let manual = manual();
    for command in commands() {
        for argument in command.get_arguments() {
            let long = argument.get_long().map(|long| format!("--{long}"));
            let variable = argument
                .get_env()
                .map(|name| name.to_string_lossy().into_owned());
            for name in long.into_iter().chain(variable) {
                let place = command.get_name();
                assert!(
                    has_word(&manual, &name),
                    "man/twocan.1 lacks {name} of {place}"
                );
            }
        }
    }
}

#[test]
fn the_manual_and_help_explain_every_exit_code() {
    let (manual, help) = (manual(), Cli::command().render_long_help().to_string());
    for exit in Exit::ALL {
        let (code, meaning) = (exit.code(), exit.meaning());
        assert!(
            manual.contains(&format!("\n.TP\n.B {code}\n{meaning}\n")),
            "man/twocan.1 lacks {code}"
        );
        assert!(
            help.contains(&format!("{code:<4} {meaning}")),
            "--help lacks {code}"
        );
    }
}

#[test]
fn the_manual_shows_the_key_table() {
    let text = read("man/twocan.1");
    let (_, rest) = text
        .split_once(".\\\" KEYS BEGIN\n")
        .expect("the beginning of the keys");
    let (shown, _) = rest
        .split_once(".\\\" KEYS END\n")
        .expect("the end of the keys");
    let expected: String = TABLE.iter().map(key_entry).collect();
    assert!(
        shown == expected,
        "man/twocan.1: between KEYS BEGIN and KEYS END must stand:\n{expected}"
    );
}

#[test]
fn every_setting_of_the_example_has_a_sentence() {
    let mut commented = false;
    for line in TEMPLATE.lines() {
        if line.contains(" = ") && !line.starts_with('#') {
            assert!(commented, "nothing is said about: {line}");
        }
        commented = line.starts_with("# ");
    }
    assert_eq!(TEMPLATE, read("config.example.toml"));
    assert!(Config::parse(TEMPLATE, Path::new("config.example.toml")).is_ok());
}

#[test]
fn the_commands_in_readme_and_manual_exist() {
    let (readme, manual) = (read("README.md"), manual());
    let examples: Vec<&str> = readme
        .lines()
        .chain(manual.lines())
        .filter_map(example)
        .collect();
    assert!(
        examples.len() >= 10,
        "only {} examples found",
        examples.len()
    );
    for example in examples {
        let words = shell_words(example);
        if let Err(error) = Cli::command().try_get_matches_from(&words) {
            panic!("`{example}` is not understood: {error}");
        }
    }
}

#[test]
fn the_readme_has_one_command_to_run_and_one_to_test() {
    let readme = read("README.md");
    for end in ["&& cargo run --release", "&& cargo test"] {
        let count = readme.lines().filter(|line| line.ends_with(end)).count();
        assert_eq!(count, 1, "{end}");
    }
}

#[test]
fn the_readme_names_every_command_that_a_person_needs() {
    let readme = read("README.md");
    for command in Cli::command().get_subcommands() {
        let name = command.get_name();
        assert!(
            has_word(&readme, name),
            "README.md does not mention `{name}`"
        );
    }
}

/// One row of the key table, as the manual shows it.
fn key_entry(entry: &Entry) -> String {
    let keys = entry.keys.join(", ").replace('-', "\\-");
    let places: Vec<&str> = entry
        .contexts
        .iter()
        .map(|context| context.title())
        .collect();
    let (name, places, help) = (
        entry.name.replace('-', "\\-"),
        places.join(", "),
        entry.help,
    );
    format!(
        ".TP\n.BR \"{keys}\" \" [{name}]\"\n{}: {places}.\n",
        capital(help)
    )
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(chars).collect()
    })
}

/// All commands and their subcommands, the program itself first.
fn commands() -> Vec<Command> {
    let mut root = Cli::command();
    root.build();
    let mut all = vec![root];
    let mut next = 0;
    while next < all.len() {
        let below: Vec<Command> = all[next].get_subcommands().cloned().collect();
        all.extend(below);
        next += 1;
    }
    all
}

/// `twocan contact add` and all others that do something.
fn command_paths() -> BTreeSet<String> {
    commands()
        .iter()
        .filter(|command| !command.is_subcommand_required_set())
        .filter_map(|command| command.get_bin_name().map(str::to_owned))
        .collect()
}

/// A line of an example that calls the program, from the name on.
fn example(line: &str) -> Option<&str> {
    line.starts_with("twocan --home").then_some(line)
}

/// Words as a shell would make them, as far as the examples need it.
fn shell_words(line: &str) -> Vec<String> {
    let mut quoted = false;
    let mut words = vec![String::new()];
    for c in line.trim_end_matches(" &").chars() {
        match c {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().expect("never empty").push(c),
        }
    }
    words
}

/// Whether `word` stands in `text` with nothing that belongs to a longer name around it.
fn has_word(text: &str, word: &str) -> bool {
    let part_of_name = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(part_of_name) && !after.is_some_and(part_of_name)
    })
}

/// The manual with its hyphens unescaped.
fn manual() -> String {
    read("man/twocan.1")
        .replace("\\-", "-")
        .replace("\\fR", "")
        .replace("\\fB", "")
}

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
