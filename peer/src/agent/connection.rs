//! One program's connection: requests in by lines, answers and events out by lines, all bounded.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;
use symbolon::{PeerEvent, RoomId};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

use super::jsonrpc::{self, Incoming, Request, RpcError, response};
use super::methods::{Answer, Session};
use super::{Agent, CONNECTIONS, events};
use crate::failure::Failure;

/// The longest line: a text of 3 MB with what JSON adds to it.
const MAX_LINE: usize = 4 << 20;

/// Lines that may wait for a program. More than a subscriber needs to catch its breath.
const OUTBOX: usize = 1024;

/// Bytes of events that may wait for a program; an insertion of 3 MB comes in a dozen events.
const OUTBOX_BYTES: usize = 16 << 20;

/// Requests that may wait for something to happen, on one connection.
const WAITING: usize = 32;

/// How long a program that stopped asking may take to read what it asked for.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// Serves a connection until it ends.
pub(super) async fn serve(stream: UnixStream, agent: Arc<Agent>) {
    let (reader, writer) = stream.into_split();
    let (lines, outgoing) = mpsc::channel(OUTBOX);
    let queued = Arc::new(AtomicUsize::new(0));
    let writing = tokio::spawn(write(writer, outgoing, queued.clone()));
    let outbox = Outbox { lines, queued, writing: writing.abort_handle() };
    let mut reader = Lines::new(reader);
    let mut connection = Connection {
        session: Arc::new(Session::new(agent)),
        outbox: outbox.clone(),
        waiting: JoinSet::new(),
        subscription: None,
    };
    loop {
        let line = tokio::select! {
            line = reader.next() => line,
            () = outbox.lines.closed() => break,
        };
        let alive = match line {
            Ok(Some(Line::Whole(line))) => connection.take(&line).await,
            Ok(Some(Line::TooLong)) => {
                let error = RpcError::Request(format!("a line has at most {MAX_LINE} bytes"));
                outbox.answer(&response(Value::Null, Err(error))).await
            }
            Ok(None) | Err(_) => break,
        };
        if !alive {
            break;
        }
    }
    drop((connection, outbox));
    let abort = writing.abort_handle();
    if tokio::time::timeout(LAST_ANSWERS, writing).await.is_err() {
        abort.abort();
    }
}

/// Tells a program that there is no seat for it.
pub(super) fn refuse(stream: UnixStream) {
    let message = format!("{CONNECTIONS} programs are connected to the agent already; end one");
    let error = Failure::new("too_many_connections", message);
    let line = format!("{}\n", response(Value::Null, Err(error.into())));
    if let Ok(mut stream) = stream.into_std() {
        // It does not block, and a fresh socket has room for this.
        let _ = stream.write_all(line.as_bytes());
    }
}

struct Connection {
    session: Arc<Session>,
    outbox: Outbox,
    waiting: JoinSet<()>,
    subscription: Option<AbortHandle>,
}

impl Connection {
    /// Answers a line; false if there is nobody to answer.
    async fn take(&mut self, line: &[u8]) -> bool {
        while self.waiting.try_join_next().is_some() {}
        match jsonrpc::parse(line) {
            Err(answer) | Ok(Incoming::One(Err(answer))) => self.outbox.answer(&answer).await,
            Ok(Incoming::Batch(requests)) => {
                self.answer_later(Session::batch(self.session.clone(), requests)).await
            }
            Ok(Incoming::One(Ok(request))) if Session::waits(&request.method) => {
                self.answer_later(one(self.session.clone(), request)).await
            }
            Ok(Incoming::One(Ok(request))) => self.answer(request).await,
        }
    }

    async fn answer(&mut self, request: Request) -> bool {
        let (result, events) = match self.session.call(&request.method, request.params).await {
            Ok(Answer::Result(result)) => (Ok(result), None),
            Ok(Answer::Subscribed { result, room, events }) => (Ok(result), Some((room, events))),
            Ok(Answer::Unsubscribed) => {
                self.unsubscribe();
                (Ok(Value::Object(serde_json::Map::new())), None)
            }
            Err(error) => (Err(error), None),
        };
        if let Some(id) = request.id
            && !self.outbox.answer(&response(id, result)).await
        {
            return false;
        }
        if let Some((room, events)) = events {
            self.unsubscribe();
            self.subscription = Some(tokio::spawn(push(events, room, self.outbox.clone())).abort_handle());
        }
        true
    }

    /// Lets a request that waits for something do so while others are answered.
    async fn answer_later(&mut self, work: impl Future<Output = Option<Value>> + Send + 'static) -> bool {
        if self.waiting.len() >= WAITING {
            // Then nothing more is read until one of them is done, or the program is gone.
            tokio::select! {
                _ = self.waiting.join_next() => {}
                () = self.outbox.lines.closed() => return false,
            }
        }
        let outbox = self.outbox.clone();
        self.waiting.spawn(async move {
            if let Some(answer) = work.await {
                outbox.answer(&answer).await;
            }
        });
        true
    }

    fn unsubscribe(&mut self) {
        if let Some(subscription) = self.subscription.take() {
            subscription.abort();
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.unsubscribe();
    }
}

async fn one(session: Arc<Session>, request: Request) -> Option<Value> {
    let result = session.call(&request.method, request.params).await.and_then(Answer::into_result);
    request.id.map(|id| response(id, result))
}

/// Pushes events until the program is gone, or too slow.
async fn push(mut events: Receiver<PeerEvent>, room: Option<RoomId>, outbox: Outbox) {
    loop {
        let fits = match events.recv().await {
            Ok(event) => events::notification(&event, room).is_none_or(|line| outbox.push(&line)),
            Err(RecvError::Lagged(_)) => false,
            Err(RecvError::Closed) => return,
        };
        if !fits {
            tracing::warn!("a program that reads its events too slowly is disconnected");
            outbox.writing.abort();
            return;
        }
    }
}

/// What waits to be written.
#[derive(Clone)]
struct Outbox {
    lines: mpsc::Sender<String>,
    queued: Arc<AtomicUsize>,
    writing: AbortHandle,
}

impl Outbox {
    /// Queues an answer as soon as there is room: who does not read is not read from.
    async fn answer(&self, answer: &Value) -> bool {
        let line = format!("{answer}\n");
        self.queued.fetch_add(line.len(), Ordering::Relaxed);
        self.lines.send(line).await.is_ok()
    }

    /// Queues an event, if there is room: events wait for nobody.
    fn push(&self, event: &Value) -> bool {
        let line = format!("{event}\n");
        let before = self.queued.fetch_add(line.len(), Ordering::Relaxed);
        before <= OUTBOX_BYTES && self.lines.try_send(line).is_ok()
    }
}

async fn write(mut writer: OwnedWriteHalf, mut lines: mpsc::Receiver<String>, queued: Arc<AtomicUsize>) {
    while let Some(line) = lines.recv().await {
        if writer.write_all(line.as_bytes()).await.is_err() {
            return;
        }
        queued.fetch_sub(line.len(), Ordering::Relaxed);
    }
}

enum Line {
    Whole(Vec<u8>),
    TooLong,
}

/// Lines of at most [`MAX_LINE`] bytes. What is longer is reported once and skipped.
struct Lines<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
    skipping: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    fn new(reader: R) -> Self {
        Self { reader: BufReader::with_capacity(64 << 10, reader), line: Vec::new(), skipping: false }
    }

    /// The next line that is not empty; `None` at the end. Nothing is lost if the future is dropped.
    async fn next(&mut self) -> std::io::Result<Option<Line>> {
        loop {
            let bytes = self.reader.fill_buf().await?;
            if bytes.is_empty() {
                // A last line without its end counts.
                let line = std::mem::take(&mut self.line);
                return Ok((!line.is_empty()).then_some(Line::Whole(line)));
            }
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let part = &bytes[..end.unwrap_or(bytes.len())];
            let taken = part.len() + usize::from(end.is_some());
            let too_long = !self.skipping && self.line.len() + part.len() > MAX_LINE;
            if too_long {
                self.skipping = true;
                self.line = Vec::new();
            } else if !self.skipping {
                self.line.extend_from_slice(part);
            }
            self.reader.consume(taken);
            if end.is_some() {
                self.skipping = false;
                let line = std::mem::take(&mut self.line);
                if !line.iter().all(u8::is_ascii_whitespace) {
                    return Ok(Some(Line::Whole(line)));
                }
            }
            if too_long {
                return Ok(Some(Line::TooLong));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_cut_skipped_and_bounded() {
        let long = "x".repeat(MAX_LINE + 1);
        let text = format!("one\n\r\n{long}\ntwo\n{}\nthree", "y".repeat(MAX_LINE));
        let mut lines = Lines::new(text.as_bytes());
        let mut seen = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            seen.push(match line {
                Line::Whole(line) => format!("{} {}", line.len(), char::from(line[0])),
                Line::TooLong => "too long".into(),
            });
        }
        assert_eq!(seen, ["3 o", "too long", "3 t", "4194304 y", "5 t"]);
    }
}
