//! Drawings: real agents that draw in one room, and the command line that shows it.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "support/programs.rs"]
mod programs;

use programs::{Homes, Program, Rendezvous};
use serde_json::{Value, json};

/// Two homes, `a` and `b`, in the room `notes` and linked.
fn pair(server: &Rendezvous) -> Homes {
    let homes = Homes::new();
    homes.run("a", &["create", "notes", "--server", &server.url]).done();
    let invite = homes.run("a", &["--json", "invite", "notes"]).json();
    homes.run("b", &["join", invite["ticket"].as_str().unwrap()]).done();
    for home in ["a", "b"] {
        homes.run(home, &["wait", "notes", "--members", "2"]).done();
    }
    homes
}

/// Waits until a home's agent has so many strokes on the canvas `main`.
fn until_strokes(homes: &Homes, home: &str, many: usize) -> Value {
    let so = |answer: &Value| answer["strokes"].as_array().unwrap().len() == many;
    homes.until(home, "strokes", so)["strokes"].clone()
}

#[test]
fn st3_two_agents_draw_at_once_and_both_export_one_picture() {
    let server = Rendezvous::start();
    let homes = pair(&server);
    let (mut a, mut b) = (homes.connect("a"), homes.connect("b"));
    let stroke = |n: usize, color: &str| json!({ "room": "notes", "color": color, "width": 2.5, "points": [[n, 0], [n, 10.25, 0.2], [n + 5, 20]] });
    for n in 0..40 {
        a.ask("draw", stroke(n, "#cc2244"));
        b.ask("draw", stroke(n, "#2244cc"));
    }
    let drawn = until_strokes(&homes, "a", 80);
    assert_eq!(until_strokes(&homes, "b", 80), drawn);
    for color in ["#cc2244", "#2244cc"] {
        let of: Vec<&Value> =
            drawn.as_array().unwrap().iter().filter(|stroke| stroke["color"] == color).collect();
        assert_eq!(of.len(), 40, "{color}");
        for (n, stroke) in of.iter().enumerate() {
            assert_eq!(stroke["width"], 2.5);
            assert_eq!(stroke["points"], json!([[n, 0], [n, 10.25, 0.2], [n + 5, 20]]));
        }
    }
    let [at_a, at_b] = ["a", "b"].map(|home| homes.run(home, &["draw", "notes"]).done());
    assert_eq!(at_a, at_b);
    well_formed(&at_a);
    assert!(at_a.matches("stroke=\"#cc2244\"").count() >= 40, "{at_a}");
    let digest = |program: &mut Program| program.call("digest", json!({ "room": "notes" }));
    assert_eq!(digest(&mut a), digest(&mut b));

    // The eraser of one takes from both.
    let erased = b.call("erase", json!({ "room": "notes", "at": [0, 0], "radius": 0.5 }));
    assert_eq!(erased, json!({ "erased": 4 }));
    until_strokes(&homes, "a", 76);
}

#[test]
fn st3_a_drawing_outlives_its_agents_and_meets_the_text() {
    let server = Rendezvous::start();
    let homes = pair(&server);
    homes.run("a", &["edit", "notes", "--insert", "see 😀"]).done();
    homes.run("a", &["draw", "notes", "--line", "10,10 200,40", "--color", "#CC2244", "--width", "3"]).done();
    homes.run("b", &["draw", "notes", "--line", "-1.5,0", "--document", "plan"]).done();
    for home in ["a", "b"] {
        homes.run(home, &["wait", "notes", "--text-contains", "see"]).done();
        homes.until(home, "documents", |documents| documents.as_array().unwrap().len() == 3);
        homes.run(home, &["down"]).done();
        assert_eq!(homes.run(home, &["cat", "notes"]).done(), "see 😀");
        assert_eq!(
            homes.run(home, &["documents", "notes"]).done(),
            "KIND    NAME  SIZE\ncanvas  main  1 stroke\ncanvas  plan  1 stroke\ntext    main  5 characters\n"
        );
        let drawn = homes.run(home, &["--json", "draw", "notes"]).json();
        let line = json!({ "color": "#cc2244", "width": 3, "points": [[10, 10], [200, 40]] });
        assert_eq!(drawn, json!({ "strokes": [line] }));
    }
    let file = homes.path("picture.svg");
    let path = file.to_str().unwrap();
    let said = homes.run("b", &["draw", "notes", "--document", "plan", "--output", path]).done();
    assert_eq!(said, format!("Wrote 1 stroke to {path}.\n"));
    let picture = std::fs::read_to_string(&file).unwrap();
    well_formed(&picture);
    assert!(picture.contains("stroke=\"#3366cc\" stroke-width=\"48\" d=\"M-24 0L-24 0\""), "{picture}");
    well_formed(&homes.run("a", &["draw", "notes", "--document", "nobody's"]).done());
}

#[test]
fn st3_a_drawing_that_cannot_be_is_refused_with_a_reason() {
    let (homes, server) = (Homes::new(), Rendezvous::start());
    homes.run("a", &["create", "notes", "--server", &server.url]).done();
    assert_eq!(
        homes.run("a", &["documents", "notes"]).done(),
        "No documents yet. Write with `symbolon edit`, or draw with `symbolon draw`.\n"
    );
    let fails =
        |arguments: &[&str]| homes.run("a", &[&["--json", "draw", "notes"], arguments].concat()).fails();
    assert_eq!(fails(&["--line", "0,0 1048577,0"]), "invalid_stroke");
    assert_eq!(fails(&["--line", "0,0", "--width", "0"]), "invalid_stroke");
    assert_eq!(fails(&["--line", "0,0", "--width", "5000"]), "invalid_stroke");
    assert_eq!(fails(&["--line", &"0,0 ".repeat(16_385)]), "invalid_stroke");
    assert_eq!(fails(&["--line", "0,0", "--document", &"n".repeat(250)]), "invalid_name");
    assert_eq!(fails(&["--output", "/nowhere/at/all.svg"]), "io");
    assert_eq!(homes.run("a", &["--json", "draw", "else"]).fails(), "no_such_room");
    for wrong in [
        &["--line", ""][..],
        &["--line", "1 2"],
        &["--line", "0,0", "--color", "red"],
        &["--line", "0,0", "--output", "x.svg"],
        &["--width", "3"],
    ] {
        let ran = homes.run("a", &[&["draw", "notes"], wrong].concat());
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{wrong:?}");
        assert!(!ran.err.is_empty());
    }
    let mut program = homes.connect("a");
    let codes = [
        json!({ "room": "notes", "points": [[0, 0, 1.5]] }),
        json!({ "room": "notes", "points": [] }),
        json!({ "room": "notes", "points": [[0, 0]], "color": "\"/><script/>" }),
    ]
    .map(|params| {
        program.ask("draw", params);
        program.next().unwrap()["error"]["data"]["code"].clone()
    });
    assert_eq!(codes, ["invalid_stroke", "invalid_stroke", "invalid_stroke"]);
    assert_eq!(
        program.error(r#"{"jsonrpc":"2.0","id":1,"method":"draw","params":{"room":"notes","points":[[1]]}}"#),
        -32602
    );
    assert_eq!(program.call("strokes", json!({ "room": "notes" })), json!({ "strokes": [] }));
    assert_eq!(program.call("documents", json!({ "room": "notes" })), json!([]));
}

/// Whether a text is one XML element, its tags closed in order and its attributes quoted.
fn well_formed(xml: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = xml.trim_end();
    assert!(rest.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""), "{xml}");
    while !rest.is_empty() {
        let (text, after) = rest.split_once('<').unwrap();
        assert!(text.trim().is_empty(), "text between elements: {text}");
        let (tag, after) = after.split_once('>').unwrap();
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "{xml}");
            assert!(!open.is_empty() || rest.is_empty(), "one root");
            continue;
        }
        let (tag, closed) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
        let (name, mut attributes) = tag.split_once(' ').unwrap();
        assert!(name.chars().all(|c| c.is_ascii_lowercase()));
        while !attributes.is_empty() {
            let (key, after) = attributes.split_once("=\"").unwrap();
            assert!(key.trim_start().chars().all(|c| c.is_ascii_lowercase() || "-B".contains(c)), "{key}");
            let (value, after) = after.split_once('"').unwrap();
            assert!(!value.contains(['<', '&']));
            attributes = after;
        }
        if !closed {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{xml}");
}
