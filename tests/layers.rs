//! The import graph and the size of files, read from the sources themselves.
//!
//! Each module may import only what stands in [`ALLOWED`]; that table has no circles, so neither
//! has the program.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Module to the modules that it may import.
const ALLOWED: &[(&str, &[&str])] = &[
    ("tui", &["api", "peer", "config"]),
    ("control", &["api", "peer"]),
    (
        "engine",
        &[
            "phone",
            "net",
            "directory",
            "audio",
            "disk",
            "api",
            "peer",
            "config",
        ],
    ),
    (
        "relay",
        &[
            "net",
            "phone::reflect",
            "phone::stun",
            "phone::types",
            "directory",
            "peer",
            "config",
        ],
    ),
    ("directory", &["peer"]),
    ("net", &["phone::types", "directory", "peer", "config"]),
    ("audio", &["phone::types", "voice", "config"]),
    ("phone", &["api", "peer"]),
    ("voice", &[]),
    ("disk", &["peer", "api"]),
    ("api", &["peer"]),
    ("config", &[]),
    ("cli", &[]),
    ("peer", &[]),
];

/// Lines that a source file may have.
const LONGEST: usize = 500;

#[test]
fn modules_import_only_what_the_graph_allows() {
    let allowed: BTreeMap<_, _> = ALLOWED.iter().copied().collect();
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let Some(module) = module_of(&path) else {
            continue;
        };
        let targets = allowed
            .get(module.as_str())
            .unwrap_or_else(|| panic!("{} is in no module of the graph", path.display()));
        for import in imports(&text) {
            let inside = import == module || import.starts_with(&format!("{module}::"));
            if !inside && !targets.iter().any(|target| reaches(target, &import)) {
                wrong.push(format!("{}: crate::{import}", path.display()));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "arrows that the graph does not have:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn the_graph_has_no_circle() {
    let allowed: BTreeMap<_, _> = ALLOWED.iter().copied().collect();
    let mut left: BTreeSet<&str> = allowed.keys().copied().collect();
    while !left.is_empty() {
        let ready: Vec<&str> = left
            .iter()
            .copied()
            .filter(|module| {
                allowed[module]
                    .iter()
                    .all(|target| !left.contains(top(target)))
            })
            .collect();
        assert!(!ready.is_empty(), "these import each other: {left:?}");
        for module in ready {
            left.remove(module);
        }
    }
}

#[test]
fn the_graph_names_every_module() {
    let lib = fs::read_to_string(root().join("src/lib.rs")).expect("src/lib.rs");
    let modules: BTreeSet<&str> = lib
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .collect();
    assert_eq!(modules, ALLOWED.iter().map(|(module, _)| *module).collect());
}

#[test]
fn no_file_is_too_long() {
    let long: Vec<String> = sources()
        .into_iter()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > LONGEST)
        .map(|(path, lines)| format!("{}: {lines}", path.display()))
        .collect();
    assert!(
        long.is_empty(),
        "over {LONGEST} lines:\n{}",
        long.join("\n")
    );
}

#[test]
fn every_file_says_what_it_is() {
    let silent: Vec<PathBuf> = sources()
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//! "))
        .map(|(path, _)| path)
        .collect();
    assert!(silent.is_empty(), "these do not start with //!: {silent:?}");
}

#[test]
fn every_way_to_write_an_import_is_seen() {
    let text = "use crate::phone::types::{Now, Path};\nuse crate::{api::CallId, peer::{PeerId, words}};\n\
                // crate::disk is only mentioned\nfn f() { crate::config::load(); }\n\
                use crate::{\n    net,\n};\npub(crate) fn g() {}\n/// [`crate::tui`] in words\n";
    let seen: BTreeSet<String> = imports(text).into_iter().collect();
    let expected = ["api::CallId", "config::load", "net", "peer", "phone::types"];
    assert_eq!(seen, expected.map(str::to_owned).into());
}

/// All Rust files of the crate but the shim over the codec, which is a crate of its own.
fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut open = vec![root().join("src")];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).expect("a directory of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() && !path.ends_with("audiopus_sys") {
                open.push(path);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                let text = fs::read_to_string(&path).expect("a source file");
                found.push((
                    path.strip_prefix(root())
                        .expect("below the root")
                        .to_owned(),
                    text,
                ));
            }
        }
    }
    assert!(found.len() > 20, "only {} sources found", found.len());
    found
}

/// `src/phone/wire.rs` is in `phone`; the binary and the crate root may import everything.
fn module_of(path: &Path) -> Option<String> {
    let first = path.iter().nth(1)?.to_str()?.trim_end_matches(".rs");
    (!matches!(first, "main" | "lib" | "commands")).then(|| first.to_owned())
}

/// What follows `crate::` anywhere in code, at most two segments deep: `phone::types`.
fn imports(text: &str) -> Vec<String> {
    let code: String = text
        .lines()
        .map(|line| line.split_once("//").map_or(line, |(code, _)| code))
        .collect::<Vec<_>>()
        .join(" ");
    code.split("crate::")
        .skip(1)
        .flat_map(|rest| match rest.strip_prefix('{') {
            Some(group) => members(group),
            None => vec![segments(rest)],
        })
        .collect()
}

/// The members of `{a::B, c::{d, e}}`, without its opening brace.
fn members(group: &str) -> Vec<String> {
    let mut depth = 0;
    let mut found = vec![String::new()];
    for c in group.chars() {
        match c {
            '}' if depth == 0 => break,
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => found.push(String::new()),
            _ if depth == 0 => found.last_mut().expect("never empty").push(c),
            _ => {}
        }
    }
    found
        .iter()
        .map(|member| segments(member.trim()))
        .filter(|member| !member.is_empty())
        .collect()
}

fn segments(path: &str) -> String {
    let path: String = path
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_' || *c == ':')
        .collect();
    path.split("::")
        .filter(|part| !part.is_empty())
        .take(2)
        .collect::<Vec<_>>()
        .join("::")
}

/// Whether `import` lies in what `target` allows. A bare `phone` is more than `phone::types`.
fn reaches(target: &str, import: &str) -> bool {
    import == target || import.starts_with(&format!("{target}::"))
}

fn top(path: &str) -> &str {
    path.split("::").next().unwrap_or(path)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
