//! The same for other servers that bring peers together, as far as they are installed: signals of the same size, in each
//! one's own words.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use crate::client::{HONEST, Outcome, Socket, web_socket};
use crate::measures::{BODY, PAIRS, Relayed, bounce};
use crate::process::Process;

/// Idle clients whose memory is measured.
const IDLE: usize = 1000;

/// How long a server may take to listen.
const START: Duration = Duration::from_secs(20);

/// Another server.
pub(crate) struct Other {
    pub(crate) name: &'static str,
    program: PathBuf,
    arguments: Vec<String>,
    port: u16,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Matchbox,
    YWebrtc,
    PeerJs,
}

/// Those that are there; says where it looked for the others.
pub(crate) fn found() -> Vec<Other> {
    let tools = std::env::var_os("SYMBOLON_TOOLS").map(PathBuf::from);
    let on_path = |name: &str| -> Option<PathBuf> {
        std::env::split_paths(&std::env::var_os("PATH")?)
            .map(|folder| folder.join(name))
            .find(|path| path.is_file())
    };
    let in_tools = |path: &str| tools.as_ref().map(|tools| tools.join(path)).filter(|path| path.is_file());
    let mut found = Vec::new();
    let mut missing = Vec::new();
    match in_tools("bin/matchbox_server").or_else(|| on_path("matchbox_server")) {
        Some(program) => found.push(Other {
            name: "matchbox_server",
            program,
            arguments: vec!["127.0.0.1:35360".into()],
            port: 35_360,
            kind: Kind::Matchbox,
        }),
        None => missing.push("matchbox_server (a program)"),
    }
    match (on_path("node"), in_tools("node_modules/y-webrtc/bin/server.js")) {
        (Some(program), Some(script)) => found.push(Other {
            name: "y-webrtc's server",
            program,
            arguments: vec![script.display().to_string()],
            port: 35_361,
            kind: Kind::YWebrtc,
        }),
        _ => missing.push("y-webrtc (a package)"),
    }
    match (on_path("node"), in_tools("node_modules/peer/dist/bin/peerjs.js")) {
        (Some(program), Some(script)) => found.push(Other {
            name: "PeerJS' server",
            program,
            arguments: vec![script.display().to_string(), "--port".into(), "35362".into()],
            port: 35_362,
            kind: Kind::PeerJs,
        }),
        _ => missing.push("peer, PeerJS' server (a package)"),
    }
    for what in missing {
        let place = tools
            .as_ref()
            .map_or("on the PATH".to_owned(), |tools| format!("in {} or on the PATH", tools.display()));
        println!("not found {place}: {what}; `cargo xtask bench server --install` gets it");
    }
    found
}

impl Other {
    async fn start(&self) -> Outcome<Process> {
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .env("PORT", self.port.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let process = Process(child);
        let until = Instant::now() + START;
        while tokio::net::TcpStream::connect((HONEST, self.port)).await.is_err() {
            if Instant::now() > until {
                return Err("it does not listen".into());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(process)
    }

    /// Bytes of memory per idle client.
    pub(crate) async fn idle(&self) -> Outcome<f64> {
        let process = self.start().await?;
        let mut clients = vec![self.client(0, 'a').await?];
        let before = process.resident();
        for n in 1..=IDLE {
            clients.push(self.client(n, 'a').await?);
        }
        Ok((process.resident() - before) as f64 / IDLE as f64)
    }

    /// Pairs that send signals back and forth.
    pub(crate) async fn relay(&self, window: usize) -> Outcome<Relayed> {
        let process = self.start().await?;
        let mut pairs = Vec::new();
        for n in 0..PAIRS {
            let (mut a, a_name) = self.client(n, 'a').await?;
            let (b, b_name) = self.client(n, 'b').await?;
            if matches!(self.kind, Kind::Matchbox) {
                // The first hears of the second.
                a.next().await.ok_or("closed")??;
            }
            pairs.push((a, b, self.signal(&b_name), self.signal(&a_name)));
        }
        Ok(bounce(&[&process], pairs, window).await)
    }

    /// A client, and by what name others send to it.
    async fn client(&self, pair: usize, side: char) -> Outcome<(Socket, String)> {
        let name = format!("{pair}-{side}");
        let path = match self.kind {
            Kind::Matchbox => format!("/room-{pair}"),
            Kind::YWebrtc => "/".to_owned(),
            Kind::PeerJs => format!("/peerjs?key=peerjs&token=t&id={name}"),
        };
        let mut socket = web_socket(HONEST, self.port, &path).await?;
        match self.kind {
            Kind::Matchbox => {
                let message = socket.next().await.ok_or("closed")??;
                let id = message.to_text()?.split('"').nth(3).ok_or("no id")?.to_owned();
                return Ok((socket, id));
            }
            Kind::YWebrtc => {
                let subscribe = format!(r#"{{"type":"subscribe","topics":["{name}"]}}"#);
                socket.send(Message::text(subscribe)).await?;
                socket.send(Message::text(r#"{"type":"ping"}"#)).await?;
                socket.next().await.ok_or("closed")??;
            }
            Kind::PeerJs => {
                socket.next().await.ok_or("closed")??;
            }
        }
        Ok((socket, name))
    }

    fn signal(&self, to: &str) -> Utf8Bytes {
        // As long as the same body in base64.
        let body = "B".repeat(BODY.div_ceil(3) * 4);
        match self.kind {
            Kind::Matchbox => format!(r#"{{"Signal":{{"receiver":"{to}","data":"{body}"}}}}"#),
            Kind::YWebrtc => format!(r#"{{"type":"publish","topic":"{to}","data":"{body}"}}"#),
            Kind::PeerJs => format!(r#"{{"type":"OFFER","dst":"{to}","payload":"{body}"}}"#),
        }
        .into()
    }
}
