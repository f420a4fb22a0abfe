//! What holds for every stroke, and for bytes that are none.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn point() -> impl Strategy<Value = Point> {
    let far = -MAX_COORDINATE..=MAX_COORDINATE;
    let at =
        prop_oneof![4 => -4000..4000_i32, 1 => far, 1 => Just(MAX_COORDINATE), 1 => Just(-MAX_COORDINATE)];
    (at.clone(), at, prop_oneof![Just(FULL), any::<u8>()]).prop_map(|(x, y, pressure)| Point {
        x,
        y,
        pressure,
    })
}

fn stroke() -> impl Strategy<Value = Stroke> {
    (any::<[u8; 3]>(), 1..=u16::MAX, vec(point(), 1..40), any::<bool>()).prop_map(
        |(color, width, mut points, pen)| {
            if !pen {
                for point in &mut points {
                    point.pressure = FULL;
                }
            }
            Stroke::new(color, width, points).unwrap()
        },
    )
}

fn at(x: i32, y: i32) -> Point {
    Point { x, y, pressure: FULL }
}

fn line(points: &[(i32, i32)], width: u16) -> Stroke {
    Stroke::new([0, 0, 0], width, points.iter().map(|&(x, y)| at(x, y)).collect()).unwrap()
}

proptest! {
    #[test]
    fn a_stroke_reads_back(stroke in stroke()) {
        prop_assert_eq!(Stroke::decode(&stroke.encode()), Ok(stroke));
    }

    #[test]
    fn a_stroke_has_one_encoding(bytes in vec(any::<u8>(), 0..60), stroke in stroke(), change in any::<(prop::sample::Index, u8, u8)>()) {
        let _ = Stroke::decode(&bytes);
        let mut bytes = stroke.encode();
        let place = change.0.index(bytes.len());
        match change.1 % 3 {
            0 => bytes[place] = change.2,
            1 => bytes.insert(place, change.2),
            _ => drop(bytes.remove(place)),
        }
        if let Ok(other) = Stroke::decode(&bytes) {
            prop_assert_eq!(other.encode(), bytes);
            prop_assert!(Stroke::new(other.color, other.width, other.points).is_ok());
        }
    }

    #[test]
    fn a_stroke_cut_short_or_carried_on_is_refused(stroke in stroke(), cut in any::<prop::sample::Index>()) {
        let mut bytes = stroke.encode();
        prop_assert!(Stroke::decode(&bytes[..cut.index(bytes.len())]).is_err());
        bytes.push(0);
        prop_assert_eq!(Stroke::decode(&bytes), Err(StrokeError::TrailingBytes));
    }

    #[test]
    fn a_picture_is_well_formed_whatever_the_strokes(strokes in vec(stroke(), 0..5)) {
        let picture = svg(&strokes);
        prop_assert!(picture.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\""));
        prop_assert!(picture.ends_with("</g></svg>\n"));
        prop_assert!(picture.matches("<path ").count() >= strokes.len());
        prop_assert_eq!(picture.matches('"').count() % 2, 0);
        // What is left of it after the words this module writes has digits only.
        let mut rest = picture.replace('"', " ");
        for word in [
            "<svg xmlns= http://www.w3.org/2000/svg ", "width=", "height=", "viewBox=", "fill= none", "stroke-linecap= round",
            "stroke-linejoin= round", "</g></svg>", "<g ", "<path ", "stroke-", "stroke= #", "d= M", "/>", ">",
        ] {
            rest = rest.replace(word, " ");
        }
        prop_assert!(rest.chars().all(|c| c.is_ascii_hexdigit() || " \n-LQ".contains(c)), "{}", rest);
    }

    #[test]
    fn a_simplified_trail_stays_close(points in vec(point(), 0..80), tolerance in 0..200_u16) {
        let simple = simplify(&points, tolerance);
        prop_assert!(simple.len() <= points.len());
        prop_assert_eq!(simple.first(), points.first());
        prop_assert_eq!(simple.last(), points.last());
        if let Ok(drawn) = Stroke::new([0; 3], 1, simple) {
            for point in points {
                prop_assert!(hits(&drawn, point.x, point.y, u32::from(tolerance) + 1), "{:?}", point);
            }
        }
    }
}

#[test]
fn corners_that_were_thinned_out_stay_corners() {
    let corner = [at(0, 0), at(4000, 0), at(4000, 3000)];
    let held = hold_corners(&corner, 24);
    assert_eq!(
        held,
        [at(0, 0), at(24, 0), at(3976, 0), at(4000, 0), at(4000, 24), at(4000, 2976), at(4000, 3000)]
    );
    // From middle to middle the line leaves the sides only this near to the corner.
    assert!(svg(&[Stroke::new([0; 3], 16, held).unwrap()]).contains("Q4000 0 4000 12"));
    let short = [at(0, 0), at(90, 0), at(90, 90)];
    assert_eq!(hold_corners(&short, 24), short);
    assert_eq!(hold_corners(&[], 24), []);
    let many: Vec<Point> = (0..MAX_POINTS as i32).map(|n| at(n % 2 * 1000, n)).collect();
    assert_eq!(hold_corners(&many, 24), many, "as it was, not longer than a stroke may be");
}

#[test]
fn bytes_that_are_no_stroke_are_refused() {
    let good = line(&[(0, 0), (16, -16)], 48).encode();
    assert_eq!(good, [1, 0, 0, 0, 48, 0, 2, 0, 0, 32, 31]);
    let refused = |bytes: &[u8]| Stroke::decode(bytes).unwrap_err();
    assert_eq!(refused(&[]), StrokeError::Truncated);
    assert_eq!(refused(&[2]), StrokeError::Version(2));
    assert_eq!(refused(&[1, 0, 0, 0, 0, 0, 1, 0, 0]), StrokeError::Width);
    assert_eq!(refused(&[1, 0, 0, 0, 0x80, 0x80, 4, 0, 1, 0, 0]), StrokeError::Number);
    assert_eq!(refused(&[1, 0, 0, 0, 0xb0, 0, 0, 1, 0, 0]), StrokeError::Number);
    assert_eq!(refused(&[1, 0, 0, 0, 48, 2, 1, 0, 0]), StrokeError::Flags);
    assert_eq!(refused(&[1, 0, 0, 0, 48, 1, 1, 0, 0, 255]), StrokeError::Flags);
    assert_eq!(refused(&[1, 0, 0, 0, 48, 0, 0]), StrokeError::Points);
    assert_eq!(refused(&[1, 0, 0, 0, 48, 0, 0x81, 0x80, 1]), StrokeError::Points);
    assert_eq!(refused(&[1, 0, 0, 0, 48, 0, 0x80, 0x80, 1]), StrokeError::Truncated);
    assert_eq!(refused(&[1, 0, 0, 0, 48, 0, 1, 0x82, 0x80, 0x80, 0x10, 0]), StrokeError::Coordinate);
    assert_eq!(refused(&vec![1; MAX_STROKE + 1]), StrokeError::TooLarge);
}

#[test]
fn strokes_out_of_bounds_are_not_made() {
    let made = |width, points| Stroke::new([0; 3], width, points);
    assert_eq!(made(0, vec![at(0, 0)]), Err(StrokeError::Width));
    assert_eq!(made(1, vec![]), Err(StrokeError::Points));
    assert_eq!(made(1, vec![at(0, 0); MAX_POINTS + 1]), Err(StrokeError::Points));
    assert!(made(1, vec![at(0, 0); MAX_POINTS]).is_ok());
    assert_eq!(made(1, vec![at(0, MAX_COORDINATE + 1)]), Err(StrokeError::Coordinate));
    assert_eq!(made(1, vec![at(i32::MIN, 0)]), Err(StrokeError::Coordinate));
    let corner = |n: usize| if n.is_multiple_of(2) { MAX_COORDINATE } else { -MAX_COORDINATE };
    let wild = (0..MAX_POINTS).map(|n| Point { x: corner(n), y: corner(n), pressure: 0 }).collect();
    assert_eq!(made(1, wild), Err(StrokeError::TooLarge));
}

#[test]
fn colors_are_read_as_they_are_written() {
    assert_eq!(color_text([0xcc, 0x02, 0xff]), "#cc02ff");
    assert_eq!(color_from_text("#CC02ff"), Some([0xcc, 0x02, 0xff]));
    for wrong in ["", "#", "cc02ff", "#cc02f", "#cc02fff", "#gg0000", "#+10000", "#é0000", "red"] {
        assert_eq!(color_from_text(wrong), None, "{wrong}");
    }
}

#[test]
fn an_empty_canvas_is_a_picture_too() {
    let empty = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"16\" height=\"16\" viewBox=\"-128 -128 256 256\">\
                 <g fill=\"none\" stroke-linecap=\"round\" stroke-linejoin=\"round\">\n</g></svg>\n";
    assert_eq!(svg(&[]), empty);
}

#[test]
fn a_picture_has_a_path_for_each_width() {
    let paths = |stroke: &Stroke| {
        let picture = svg(std::slice::from_ref(stroke));
        picture.lines().filter(|line| line.starts_with("<path")).map(str::to_owned).collect::<Vec<_>>()
    };
    let plain = Stroke::new([0xcc, 0x22, 0x44], 48, vec![at(0, 0), at(160, 0), at(160, 160)]).unwrap();
    assert_eq!(
        paths(&plain),
        ["<path stroke=\"#cc2244\" stroke-width=\"48\" d=\"M0 0L80 0Q160 0 160 80L160 160\"/>"]
    );
    let pressed = |x, pressure| Point { x, y: 0, pressure };
    let pen = Stroke::new([0; 3], 64, vec![pressed(0, 0), pressed(32, 3), pressed(64, FULL)]).unwrap();
    assert_eq!(
        paths(&pen),
        [
            "<path stroke=\"#000000\" stroke-width=\"16\" d=\"M0 0L16 0Q32 0 48 0\"/>",
            "<path stroke=\"#000000\" stroke-width=\"64\" d=\"M48 0L64 0\"/>"
        ]
    );
    assert_eq!(paths(&line(&[(5, 6)], 1)), ["<path stroke=\"#000000\" stroke-width=\"1\" d=\"M5 6L5 6\"/>"]);
}

#[test]
fn a_straight_trail_keeps_its_ends_and_a_bend_its_corner() {
    let straight: Vec<_> = (0..500).map(|x| at(x * 3, x)).collect();
    assert_eq!(simplify(&straight, 8), [at(0, 0), at(1497, 499)]);
    let bend: Vec<_> =
        (0..100).map(|n| if n < 50 { at(n * 10, 0) } else { at(490, (n - 49) * 10) }).collect();
    assert_eq!(simplify(&bend, 8), [at(0, 0), at(490, 0), at(490, 500)]);
    let back = [at(0, 0), at(900, 0), at(10, 0)];
    assert_eq!(simplify(&back, 8), back, "what goes back on itself is no straight line");
    assert_eq!(simplify(&[at(7, 7); 20], 8), [at(7, 7); 2]);
}

#[test]
fn a_change_of_pressure_is_kept() {
    let press = |x: i32| Point { x, y: 0, pressure: if x == 50 { 0 } else { FULL } };
    let trail: Vec<_> = (0..100).map(press).collect();
    assert!(simplify(&trail, 8).contains(&press(50)));
}

#[test]
fn the_longest_and_wildest_trail_fits_a_stroke() {
    let mut seed = 7_u32;
    let mut next = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) as i32 % 4000
    };
    let wild: Vec<_> = (0..100_000).map(|_| Point { x: next(), y: next(), pressure: next() as u8 }).collect();
    let simple = simplify(&wild, 1);
    assert!(simple.len() <= MAX_POINTS && simple.len() > 2, "{}", simple.len());
    assert!(Stroke::new([0; 3], 1, simple).is_ok());
}

#[test]
fn the_eraser_hits_what_it_touches() {
    let stroke = line(&[(0, 0), (1600, 0), (1600, 1600)], 32);
    for (x, y, radius) in
        [(800, 0, 0), (800, 16, 0), (800, 48, 32), (1600, 800, 0), (-16, 0, 0), (1600, 1616, 0)]
    {
        assert!(hits(&stroke, x, y, radius), "{x} {y} {radius}");
    }
    for (x, y, radius) in [(800, 17, 0), (800, 800, 500), (-17, 0, 0), (i32::MIN, i32::MAX, u32::MAX)] {
        assert!(!hits(&stroke, x, y, radius), "{x} {y} {radius}");
    }
    assert!(hits(&line(&[(5, 5)], 2), 5, 8, 2));
    assert!(!hits(&line(&[(5, 5)], 2), 5, 9, 2));
}
