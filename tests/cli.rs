//! The real program, driven as a script drives it: exit codes, JSON, damaged files, hostile names.

mod program;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use program::Home;

#[test]
fn an_identity_is_made_once_and_told() {
    let home = Home::new();
    assert_eq!(home.run(&["id", "--json"]).code(), 3, "there is none yet");
    let made = home
        .run(&["id", "new", "--name", "mika", "--json", "--no-input"])
        .ok()
        .json();
    assert_eq!(made["name"], "mika");
    let id = made["id"].as_str().expect("an ID");
    assert!(id.starts_with("tc1") && id.len() == 62, "{id}");
    assert_eq!(made["words"].as_array().expect("words").len(), 4);
    assert_eq!(home.run(&["id", "--json"]).ok().json(), made);
    assert!(home.run(&["id"]).ok().stdout.contains(id));

    let key = home.read("identity.key");
    let again = home.run(&["id", "new", "--name", "other"]);
    assert_eq!(again.code(), 3);
    assert_eq!(
        home.read("identity.key"),
        key,
        "the first identity is still there"
    );
    assert_eq!(home.mode("identity.key"), 0o600);
}

#[test]
fn a_name_is_asked_for_never_guessed() {
    let home = Home::new();
    let run = home.run(&["id", "new", "--no-input"]);
    assert_eq!(run.code(), 2);
    assert!(run.stderr.contains("--name"), "{}", run.stderr);
    assert!(!home.path("identity.key").exists());
}

#[test]
fn the_words_bring_the_identity_back() {
    let (home, other) = (Home::with_identity("anna"), Home::new());
    let words = home.run(&["id", "words"]).ok().stdout;
    assert_eq!(words.split_whitespace().count(), 24);
    other
        .run_with(&["id", "restore", "--name", "anna"], &words)
        .ok();
    let id = |home: &Home| home.run(&["id", "--json"]).ok().json()["id"].clone();
    assert_eq!(id(&home), id(&other));

    let third = Home::new();
    let wrong = words.replacen(' ', " nonsense ", 1);
    let run = third.run_with(&["id", "restore", "--name", "anna"], &wrong);
    assert_eq!(run.code(), 2);
    assert!(run.stderr.contains("nonsense"), "{}", run.stderr);
    assert!(!third.path("identity.key").exists());
}

#[test]
fn a_hostile_name_is_tame_everywhere() {
    let home = Home::new();
    let name = "\u{1b}]0;owned\u{7}\u{1b}[31mmi\u{202e}ka\u{200b}\u{0300}\u{0301}\u{0302}\u{0303}\u{0304}\u{0305}";
    let made = home.run(&["id", "new", "--name", name, "--json"]).ok();
    let shown = made.json()["name"].as_str().expect("a name").to_owned();
    let plain = home.run(&["id"]).ok().stdout;
    for text in [&shown, &plain] {
        for c in ['\u{1b}', '\u{7}', '\u{202e}', '\u{200b}', '\u{0305}'] {
            assert!(!text.contains(c), "{text:?} holds {c:?}");
        }
    }
    assert!(shown.contains("mik"), "{shown:?}");
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let home = Home::with_identity("mika");
    let key = home.path("identity.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("own file");
    let run = home.run(&["id", "--json"]);
    assert_eq!(run.code(), 3);
    assert!(
        run.stderr.contains("identity.key") && run.stderr.contains("chmod"),
        "{}",
        run.stderr
    );
}

#[test]
fn damaged_files_are_named_and_left_alone() {
    let cases: &[(&str, &[&str])] = &[
        ("identity.key", &["id", "--json"]),
        ("contacts.toml", &["contact", "list", "--json"]),
        ("contacts.toml", &["daemon", "--json", "--audio", "null"]),
        ("identity.key", &["daemon", "--json", "--audio", "null"]),
        ("config.toml", &["config", "check"]),
        ("config.toml", &["contact", "list"]),
    ];
    let damages: &[&[u8]] = &[
        b"",
        b"[[[\n",
        b"lisen = 'x'\n",
        b"\xff\xfe\x00\x01 not text \xc3\x28",
    ];
    for (file, arguments) in cases {
        for damage in damages {
            // An empty table of contacts or settings is a right one.
            if damage.is_empty() && *file != "identity.key" {
                continue;
            }
            let home = Home::with_identity("mika");
            home.write(file, damage);
            let run = home.run(arguments);
            let case = format!("{file} as {damage:?}: {}", run.stderr);
            assert_eq!(run.code(), 3, "{case}");
            assert!(run.stderr.contains(file) && run.stdout.is_empty(), "{case}");
            assert!(!run.stderr.contains("panicked"), "{case}");
            assert_eq!(home.read(file), *damage, "{case}");
        }
    }
}

#[test]
fn a_mistake_in_the_config_is_named_by_line_and_column() {
    let cases = [
        ("\n[ui]\nglyphs = 'emoji'\n", "config.toml:3:10: "),
        (
            "bootstrap = ['/dnsaddr/a.example', '192.0.2.1:4001']\n",
            "config.toml:1:13: `192.0.2.1:4001` is no address of a node",
        ),
        ("[keys]\nmute = ['hyper-m']\n", "config.toml:2:8: "),
        ("[log]\nfilter = 'twocan=loudly'\n", "config.toml:2:10: "),
    ];
    for (text, place) in cases {
        let home = Home::new();
        home.write("config.toml", text.as_bytes());
        let run = home.run(&["config", "check"]);
        assert_eq!(run.code(), 3, "{text}");
        assert!(run.stderr.contains(place), "{text}: {}", run.stderr);
        assert_eq!(home.read("config.toml"), text.as_bytes());
    }
}

#[test]
fn the_template_is_a_right_config() {
    let home = Home::new();
    let template = home.run(&["config", "template"]).ok().stdout;
    home.write("config.toml", template.as_bytes());
    home.run(&["config", "check"]).ok();
    let shown = home.run(&["config", "show", "--json"]).ok().json();
    assert_eq!(shown["network"], "public");
    let path = home.run(&["config", "path"]).ok().stdout;
    assert_eq!(
        path.trim_end(),
        home.path("config.toml").to_str().expect("text")
    );
}

#[test]
fn flags_beat_the_environment_which_beats_the_file() {
    let home = Home::with_identity("mika");
    home.write("config.toml", b"audio = 'wav:file'\n");
    assert_eq!(home.run(&["daemon"]).code(), 3, "the file is wrong");
    home.write("config.toml", b"audio = 'null'\n");
    let run = home.run_env(&["daemon"], &[("TWOCAN_AUDIO", "env")]);
    assert_eq!(run.code(), 2);
    assert!(run.stderr.contains("`env`"), "{}", run.stderr);
    let run = home.run_env(&["daemon", "--audio", "flag"], &[("TWOCAN_AUDIO", "env")]);
    assert_eq!(run.code(), 2);
    assert!(run.stderr.contains("`flag`"), "{}", run.stderr);
}

#[test]
fn contacts_of_nobody() {
    let home = Home::with_identity("mika");
    let list = home.run(&["contact", "list", "--json"]).ok().json();
    assert_eq!(list, serde_json::json!({ "contacts": [] }));
    for arguments in [
        &["contact", "show", "anna"][..],
        &["contact", "rename", "anna", "bo"],
        &["contact", "remove", "anna"],
        &["contact", "block", "anna"],
    ] {
        let run = home.run(arguments);
        assert_eq!(run.code(), 4, "{arguments:?}: {}", run.stderr);
        assert!(run.stderr.contains("anna"), "{}", run.stderr);
    }
}

#[test]
fn a_wrong_invite_says_which_character_looks_wrong() {
    let (anna, bo) = (Home::with_identity("anna"), Home::with_identity("bo"));
    let line = anna.run(&["invite"]).ok().stdout.trim().to_owned();
    assert!(
        line.starts_with("twocan:1:") && !line.contains(char::is_whitespace),
        "{line}"
    );

    let at = line.len() / 2;
    let other = if line.as_bytes()[at] == b'q' {
        'p'
    } else {
        'q'
    };
    let mistyped: String = line
        .chars()
        .enumerate()
        .map(|(i, c)| if i == at { other } else { c })
        .collect();
    let run = bo.run(&["contact", "add", &mistyped]);
    assert_eq!(run.code(), 2, "{}", run.stderr);
    assert!(
        run.stderr.contains(&format!("character {}", at + 1)),
        "{at}: {}",
        run.stderr
    );

    for wrong in [
        &line[..line.len() - 7],
        "twocan:1:",
        "hello",
        "",
        "twocan:9:qqqq",
    ] {
        let run = bo.run(&["contact", "add", wrong]);
        assert_eq!(run.code(), 2, "{wrong:?}: {}", run.stderr);
        assert!(
            !run.stderr.is_empty() && !run.stderr.contains("panicked"),
            "{}",
            run.stderr
        );
    }
    let list = bo.run(&["contact", "list", "--json"]).ok().json();
    assert_eq!(list, serde_json::json!({ "contacts": [] }));
}

#[test]
fn an_invite_tells_its_end() {
    let home = Home::with_identity("anna");
    let invite = home
        .run(&["invite", "--expires", "1h", "--json"])
        .ok()
        .json();
    assert!(
        invite["line"]
            .as_str()
            .expect("a line")
            .starts_with("twocan:1:")
    );
    let expires: jiff::Timestamp = invite["expires"]
        .as_str()
        .expect("text")
        .parse()
        .expect("RFC 3339");
    let modified = fs::metadata(home.path("contacts.toml"))
        .expect("saved")
        .modified()
        .expect("a time");
    let made = jiff::Timestamp::try_from(modified).expect("a time of today");
    let seconds = expires.duration_since(made).as_secs();
    assert!((3590..=3600).contains(&seconds), "{seconds}");
    assert_eq!(home.mode("contacts.toml"), 0o600);
}

#[test]
fn without_a_running_phone_there_is_nothing_to_steer() {
    let home = Home::with_identity("mika");
    let id = Home::with_identity("bo").run(&["id", "--json"]).ok().json();
    let stranger = id["id"].as_str().expect("an ID");
    for arguments in [
        &["status", "--json"][..],
        &["hangup"],
        &["answer"],
        &["decline"],
        &["mute", "on"],
        &["hold"],
        &["watch", "--json"],
        &["announce", "away"],
        &["announce", "--json"],
        &["requests", "--json"],
        &["requests", "dismiss", stranger],
        &["requests", "accept", stranger],
        &["invite", "--public"],
        &["contact", "verify", "anna"],
    ] {
        let run = home.run(arguments);
        assert_eq!(run.code(), 8, "{arguments:?}: {}", run.stderr);
        assert!(run.stderr.contains("twocan daemon"), "{}", run.stderr);
    }
}

#[test]
fn wrong_usage_is_2_and_says_so() {
    let home = Home::new();
    for arguments in [
        &["dance"][..],
        &["call"],
        &["mute", "perhaps"],
        &["call", "anna", "--for", "soon"],
        &["--audio", "null", "status"],
        &["invite", "--uses", "0"],
        &["-v", "-q", "status"],
        &["announce", "busy"],
        &["requests", "accept", "anna"],
        &["invite", "--public", "--uses", "2"],
        &["daemon", "--audio", "null", "--bootstrap", "192.0.2.1:4001"],
    ] {
        let run = home.run(arguments);
        assert_eq!(run.code(), 2, "{arguments:?}: {}", run.stderr);
        assert!(!run.stderr.is_empty() && run.stdout.is_empty());
    }
    assert!(home.run(&["--version"]).ok().stdout.starts_with("twocan "));
    assert!(home.run(&["--help"]).ok().stdout.contains("Exit codes"));
}

#[test]
fn without_a_terminal_the_screen_is_lines_and_ends_with_its_input() {
    let home = Home::with_identity("mika");
    let run = home.run(&["--audio", "null"]).ok();
    assert!(
        !run.stdout.is_empty() && !run.stdout.contains('\u{1b}'),
        "{:?}",
        run.stdout
    );
    let fresh = Home::new();
    let run = fresh.run(&["--audio", "null", "--no-input"]);
    assert_eq!(run.code(), 3, "{}", run.stderr);
    assert!(run.stderr.contains("id new"), "{}", run.stderr);
}

#[test]
fn manual_and_completions_are_written() {
    let home = Home::new();
    let dir = home.path("man");
    home.run(&["man", dir.to_str().expect("text")]).ok();
    let written = |dir: &Path| -> BTreeMap<_, _> {
        let pages = fs::read_dir(dir).expect("a directory");
        let read = |page: fs::DirEntry| (page.file_name(), fs::read(page.path()).expect("a page"));
        pages.map(|page| read(page.expect("a page"))).collect()
    };
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("man");
    assert!(
        written(&dir) == written(&source),
        "man/ and what is written differ"
    );
    for shell in ["bash", "zsh", "fish"] {
        assert!(
            home.run(&["completions", shell])
                .ok()
                .stdout
                .contains("hangup")
        );
    }
}
