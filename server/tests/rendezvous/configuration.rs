//! The options, on the program: file, environment and flags, `check`, `health`, and what SIGHUP changes.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use symbolon_core::signal::ServerMessage;

use crate::support::{Client, ServerProcess, within};

fn program(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_symbolon-server"))
        .args(arguments)
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn write(folder: &Path, text: &str) -> String {
    let path = folder.join("server.toml");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn rv9_check_says_what_holds_and_where_it_came_from() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "[limits]\nconnections = 7\nrooms_per_client = 9\n");
    let environment = [("SYMBOLON_ROOMS_PER_CLIENT", "8"), ("SYMBOLON_CONFIG", file.as_str())];
    let output = program(&["check", "--idle-after", "7m"], &environment);
    assert!(output.status.success(), "{}", said(&output));
    let said = said(&output);
    let line = |name: &str| said.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert!(
        line("connections =").contains('7') && line("connections =").ends_with("# file, line 2"),
        "{said}"
    );
    assert!(line("rooms_per_client").ends_with("# SYMBOLON_ROOMS_PER_CLIENT"), "{said}");
    assert!(
        line("idle_after").contains("\"7m\"") && line("idle_after").ends_with("# --idle-after"),
        "{said}"
    );
    assert!(line("dead_after").ends_with("# default"), "{said}");

    let broken = write(folder.path(), "[limits]\nconections = 7\n[tls]\nkey = \"/nowhere\"\n");
    for arguments in [&["check", "--config", &broken][..], &["--config", &broken]] {
        let output = program(arguments, &[]);
        assert_eq!(output.status.code(), Some(2));
        assert!(
            self::said(&output)
                .contains(":2: there is no option `conections` in [limits]; did you mean `connections`?")
        );
    }
    let output = program(&["check", "--tls-key", "/nowhere"], &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(self::said(&output).contains("set both"), "{}", self::said(&output));
}

#[tokio::test]
async fn rv9_health_finds_the_configured_server() {
    let server = ServerProcess::start(&[]);
    let address = server.address();
    let health = |arguments: Vec<String>, environment: Vec<(&'static str, String)>| async move {
        let running = tokio::task::spawn_blocking(move || {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let environment: Vec<_> = environment.iter().map(|(name, text)| (*name, text.as_str())).collect();
            program(&arguments, &environment).status.code()
        });
        within(running).await.unwrap()
    };
    assert_eq!(health(vec!["health".into()], vec![("SYMBOLON_LISTEN", address.clone())]).await, Some(0));
    let anywhere = address.replace("127.0.0.1", "0.0.0.0");
    assert_eq!(health(vec!["health".into(), "--listen".into(), anywhere], vec![]).await, Some(0));
    assert_eq!(health(vec!["health".into(), format!("http://{address}")], vec![]).await, Some(0));
    drop(server);
    assert_eq!(health(vec!["health".into()], vec![("SYMBOLON_LISTEN", address)]).await, Some(1));
}

#[tokio::test]
async fn rv14_the_idle_time_can_be_set_by_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "[limits]\nidle_after = \"300ms\"\n");
    let server = ServerProcess::start(&["--config", &file]);
    let mut client = Client::signed_in(&server).await;
    client.expect_silent_close().await;
}

#[tokio::test]
async fn rv9_on_hangup_the_configuration_is_read_again_and_connections_stay() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "[limits]\nrooms_per_client = 3\n");
    let mut server = ServerProcess::start_heard(&["--config", &file]);
    let (mut old, limits) = Client::welcomed(&server).await;
    assert_eq!(limits.rooms, 3);

    write(folder.path(), "page = false\nlog = \"debug\"\n[limits]\nrooms_per_client = 5\nconnections = 2\n");
    server.signal("HUP");
    server.logged("page has changed, which takes a restart").await;
    server.logged("limits.rooms_per_client is now 5").await;
    server.logged("the configuration is read again").await;
    let (new, limits) = Client::welcomed(&server).await;
    assert_eq!(limits.rooms, 5);
    assert!(Client::try_connect(&server).await.is_err(), "two connections are all that there may be now");
    server.logged("turned away").await;
    old.enter(crate::support::topic(1), b"").await;
    drop(new);

    write(folder.path(), "[limits]\nrooms_per_client = many\n");
    server.signal("HUP");
    server.logged("nothing of it is taken over").await;
    assert!(matches!(old.enter(crate::support::topic(2), b"").await[..], []), "and everything goes on");
    server.signal("INT");
    assert!(matches!(old.next().await, Some(ServerMessage::Error(_))));
}
