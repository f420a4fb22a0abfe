//! What lies in `deploy` and at the top of the tree says what the program understands.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use symbolon_server::options::Opt;
use symbolon_server::options::table::SECTIONS;

use crate::support::{ServerProcess, get};

/// What the compose files make of `.env` themselves.
const COMPOSE: [&str; 6] = [
    "SYMBOLON_ADMIN_PORT",
    "SYMBOLON_BIND",
    "SYMBOLON_IMAGE",
    "SYMBOLON_PORT",
    "SYMBOLON_PUBLIC_IP",
    "SYMBOLON_SITE",
];

const COMPOSE_FILES: [&str; 2] = ["docker-compose.yml", "compose.cluster.yml"];

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    fs::read_to_string(root.join(path)).unwrap()
}

/// The words that begin so.
fn words<'a>(text: &'a str, start: &str) -> BTreeSet<&'a str> {
    let other = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    text.split(other).filter(|word| word.len() > start.len() && word.starts_with(start)).collect()
}

#[test]
fn rv11_what_the_deployment_sets_are_options_of_the_server() {
    let options = SECTIONS.iter().flat_map(|section| section.options).map(Opt::variable);
    let options: BTreeSet<String> = options.chain(["SYMBOLON_CONFIG".to_owned()]).collect();
    let explained = read(".env.example");
    let others =
        ["Dockerfile", ".env.example", "deploy/systemd/symbolon-server.service", "docs/OPERATING.md"];
    for file in others.into_iter().chain(COMPOSE_FILES) {
        let text = read(file);
        for variable in words(&text, "SYMBOLON_") {
            let known = options.contains(variable) || COMPOSE.contains(&variable);
            assert!(known, "{file} sets {variable}, which nobody reads");
            if text.contains(&format!("${{{variable}:")) {
                assert!(
                    words(&explained, "SYMBOLON_").contains(variable),
                    "{variable} is not in .env.example"
                );
            }
        }
    }
}

#[test]
fn rv11_compose_gives_every_server_no_more_than_it_needs() {
    for file in COMPOSE_FILES {
        let text = read(file);
        let server = text.split("\n\n").find(|part| part.contains("SYMBOLON_KEY_FILE")).unwrap();
        for wall in ["read_only: true", "cap_drop: [ALL]", "no-new-privileges:true", "user: \"65532:65532\""]
        {
            assert!(server.contains(wall), "{file} lacks {wall}");
        }
    }
    // Longer than the server takes to go, or it is killed while it tells its clients.
    let settings = symbolon_server::options::Settings::default();
    assert!(
        settings.drain.as_secs() + 4 < 45 && read("docker-compose.yml").contains("stop_grace_period: 45s")
    );
    assert!(read("deploy/systemd/symbolon-server.service").contains("TimeoutStopSec=45s"));
}

#[tokio::test]
async fn rv9_the_dashboard_asks_for_what_is_measured() {
    let turn = ["--turn-udp", "127.0.0.1:0", "--turn-public", "127.0.0.1"];
    let mut server = ServerProcess::start(&[&["--admin-listen", "127.0.0.1:0"][..], &turn].concat());
    let (_, metrics) = get(&server.admin(), "/metrics").await;
    let measured: BTreeSet<&str> =
        metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let dashboard = read("deploy/grafana/symbolon.json");
    let all = words(&dashboard, "symbolon_");
    // Those need a bus, which is not here.
    let (cluster, mut asked): (BTreeSet<&str>, BTreeSet<&str>) =
        all.into_iter().partition(|name| name.starts_with("symbolon_cluster_"));
    let source = read("server/src/metrics.rs");
    for name in &cluster {
        let counter = name.trim_start_matches("symbolon_cluster_").trim_end_matches("_total");
        let known = source.contains(&format!("\"{name}\"")) || source.contains(&format!("(\"{counter}\","));
        assert!(known, "the dashboard asks for {name}");
    }
    asked.extend(words(&dashboard, "process_"));
    assert!(asked.len() > 15, "{asked:?}");
    for name in &asked {
        let known = measured.contains(name)
            || name.strip_suffix("_bucket").is_some_and(|name| measured.contains(name));
        assert!(known, "the dashboard asks for {name}");
    }
    // And nothing that is measured is left out.
    for name in &measured {
        assert!(asked.iter().any(|asked| asked.starts_with(name)), "the dashboard leaves out {name}");
    }
}
