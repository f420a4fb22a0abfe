use std::collections::BTreeSet;

use super::table::SECTIONS;
use super::*;

fn given(
    file: &str,
    environment: &[(&str, &str)],
    flags: &[(&'static str, &str)],
) -> (Given, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.toml");
    std::fs::write(&path, file).unwrap();
    let given = Given {
        file: Some(path),
        flags: flags.iter().map(|(flag, text)| (*flag, vec![(*text).to_owned()])).collect(),
        environment: environment
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect(),
    };
    (given, folder)
}

fn wrong(file: &str) -> Vec<String> {
    let (given, folder) = given(file, &[], &[]);
    let wrong = given.load().unwrap_err();
    let folder = format!("{}/", folder.path().display());
    wrong.into_iter().map(|text| text.replace(&folder, "")).collect()
}

#[test]
fn a_flag_counts_more_than_the_environment_and_that_more_than_the_file() {
    let file =
        "listen = \"127.0.0.1:1\"\n[limits]\nconnections = 1\nrooms_per_client = 1\nclients_per_room = 1\n";
    let environment =
        [("SYMBOLON_ROOMS_PER_CLIENT", "2"), ("SYMBOLON_CLIENTS_PER_ROOM", "2"), ("SYMBOLON_LISTEN", "")];
    let (given, _folder) = given(file, &environment, &[("clients-per-room", "3")]);
    let loaded = given.load().unwrap();
    let config = &loaded.settings.config;
    assert_eq!((config.connections, config.limits.rooms, config.limits.clients_per_room), (1, 2, 3));
    assert_eq!(config.listen.port(), 1, "an empty variable says nothing");
    let source =
        |flag: &str| loaded.sources.iter().find(|(option, _)| option.flag == flag).unwrap().1.to_string();
    assert_eq!(source("connections"), "file, line 3");
    assert_eq!(source("rooms-per-client"), "SYMBOLON_ROOMS_PER_CLIENT");
    assert_eq!(source("clients-per-room"), "--clients-per-room");
    assert_eq!(source("outbox-bytes"), "default");
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_the_nearest_name() {
    let file = "lisen = \"127.0.0.1:1\"\nconnections = 5\n\n[limit]\n[limits]\nconections = 5\nzzz = 1\npage = false\n";
    assert_eq!(
        wrong(file),
        [
            "server.toml:2: there is no option `connections` before the first section; `connections` belongs in [limits]",
            "server.toml:4: there is no section [limit]; did you mean [limits]?",
            "server.toml:6: there is no option `conections` in [limits]; did you mean `connections`?",
            "server.toml:8: there is no option `page` in [limits]; `page` belongs before the first section",
            "server.toml:7: there is no option `zzz` in [limits]",
            "server.toml:1: there is no option `lisen` before the first section; did you mean `listen`?",
        ]
    );
}

#[test]
fn all_that_is_wrong_is_said_at_once_and_with_its_line() {
    let file =
        "listen = \"here\"\nlimits.clients_per_room = 257\nlimits.idle_after = 5\nlimits.bans = [1.5]\n";
    let wrong = wrong(file);
    assert!(wrong[0].starts_with("server.toml:4: limits.bans is true or false"), "{wrong:?}");
    assert!(wrong[1].starts_with("server.toml:1: listen: \"here\" is not an address"), "{wrong:?}");
    assert!(wrong[2].starts_with("server.toml:2: limits.clients_per_room: 257 is more"), "{wrong:?}");
    assert!(wrong[3].starts_with("server.toml:3: limits.idle_after: \"5\" is no time"), "{wrong:?}");
    assert_eq!(wrong.len(), 4);
    let broken = self::wrong("listen = \n");
    assert!(broken[0].starts_with("server.toml:1: "), "{broken:?}");
}

#[test]
fn switches_say_the_same_in_three_ways() {
    for (file, environment, flags) in [
        ("page = false", &[][..], &[][..]),
        ("", &[("SYMBOLON_NO_PAGE", "true")][..], &[][..]),
        ("page = true", &[("SYMBOLON_NO_PAGE", "0")][..], &[("no-page", "true")][..]),
    ] {
        assert!(!given(file, environment, flags).0.load().unwrap().settings.config.page);
    }
}

#[test]
fn names_are_used_once_and_every_value_is_read_as_it_is_shown() {
    let defaults = Settings::default();
    let (mut flags, mut paths) = (BTreeSet::new(), BTreeSet::new());
    for section in SECTIONS {
        for option in section.options {
            assert!(flags.insert(option.flag) && paths.insert(section.path(option)), "{}", option.flag);
            let shown = (option.show)(&defaults);
            if !shown.is_empty() {
                let mut settings = Settings::default();
                (option.read)(&mut settings, &shown).unwrap();
                assert_eq!((option.show)(&settings), shown, "{}", option.flag);
            }
            assert!(option.help.ends_with('.'), "{}", option.flag);
        }
    }
    command::command().debug_assert();
}

#[test]
fn the_example_file_is_good_with_every_option_taken_in() {
    let example = document::example();
    let uncommented: Vec<&str> = example
        .lines()
        .map(|line| line.strip_prefix("# ").filter(|rest| rest.contains(" = ")).unwrap_or(line))
        .collect();
    let (given, _folder) = given(&uncommented.join("\n"), &[], &[]);
    let loaded = given.load().unwrap();
    for (option, source) in &loaded.sources {
        let said = !example.contains(&format!("# {} = \"\"\n", option.key));
        assert_eq!(matches!(source, Source::File(_)), said, "{}", option.flag);
    }
}

#[test]
fn the_documentation_is_in_step_with_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/CONFIGURATION.md");
    let there = std::fs::read_to_string(path).unwrap_or_default();
    let command = "cargo run -p symbolon-server -- config --markdown > docs/CONFIGURATION.md";
    assert!(there == document::markdown(), "docs/CONFIGURATION.md is out of date; run: {command}");
}
