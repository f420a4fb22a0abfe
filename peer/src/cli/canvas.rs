//! Commands on a room's documents and canvases.

use serde_json::{Value, json};

use super::Context;
use super::args::Draw;
use super::print::{self, table};
use crate::failure::Failure;

/// `symbolon documents`
pub(super) fn documents(context: &Context, room: &str) -> Result<(), Failure> {
    let documents = context.agent()?.call("documents", &json!({ "room": room }))?;
    context.out.either(&documents, || {
        let mut rows = vec![["KIND", "NAME", "SIZE"].map(String::from)];
        rows.extend(documents.as_array().into_iter().flatten().map(|document| {
            let word = |key: &str| document[key].as_str().unwrap_or_default();
            let size = match document["size"].as_u64() {
                Some(1) => format!("1 {}", word("unit").trim_end_matches('s')),
                Some(size) => format!("{size} {}", word("unit")),
                None => "-".into(),
            };
            [word("kind").into(), word("name").into(), size]
        }));
        if rows.len() == 1 {
            return "No documents yet. Write with `symbolon edit`, or draw with `symbolon draw`.".into();
        }
        table(&rows)
    })
}

/// `symbolon draw`
pub(super) fn draw(context: &Context, given: &Draw) -> Result<(), Failure> {
    let Draw { room, line, color, width, document, output } = given;
    let mut agent = context.agent()?;
    if let Some(points) = line {
        let params = json!({
            "room": room, "document": document, "color": color, "width": width, "points": points,
        });
        agent.call("draw", &params)?;
        return if context.out.json { print::line(&json!({ "drawn": 1 })) } else { Ok(()) };
    }
    let which = json!({ "room": room, "document": document });
    let Some(path) = output else {
        if context.out.json {
            return print::line(&agent.call("strokes", &which)?);
        }
        return print::bytes(svg(&agent.call("svg", &which)?).as_bytes());
    };
    let made = agent.call("svg", &which)?;
    std::fs::write(path, svg(&made)).map_err(|error| Failure::path("io", path, &error))?;
    let said = json!({ "output": path.display().to_string(), "strokes": made["strokes"] });
    context.out.either(&said, || {
        let strokes = made["strokes"].as_u64().unwrap_or_default();
        let plural = if strokes == 1 { "" } else { "s" };
        format!("Wrote {strokes} stroke{plural} to {}.", path.display())
    })
}

fn svg(made: &Value) -> &str {
    made["svg"].as_str().unwrap_or_default()
}
