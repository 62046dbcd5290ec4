//! `view_image` and `update_plan`.

use serde_json::{Value, json};

use super::{run, with_calls};

/// The smallest images of each kind, one pixel, and what they are sent as.
const PIXELS: [(&str, &str, &str); 4] = [
    (
        "p.png",
        "png",
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
    ),
    (
        "p.gif",
        "gif",
        "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7",
    ),
    (
        "p.webp",
        "webp",
        "UklGRiIAAABXRUJQVlA4IBYAAAAwAQCdASoBAAEADsD+JaQAA3AAAAAA",
    ),
    (
        "p.jpg",
        "jpeg",
        "/9j/4AAQSkZJRgABAQEASABIAAD/2wBDAP//////////////////////////////////////////////////////////////////////////////////////wAALCAABAAEBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAACf/EABQQAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQEAAD8AN//Z",
    ),
];

#[tokio::test]
async fn an_image_of_any_kind_is_shown_as_it_is() {
    let calls = PIXELS.map(|(name, ..)| (name, "view_image", json!({ "path": name })));
    let lab = with_calls(&calls).await;
    for (name, _, text) in PIXELS {
        lab.write(name, decoded(text));
    }
    let ran = run(&lab).await;
    for (name, kind, text) in PIXELS {
        let shown: Value = serde_json::from_str(&lab.output_of(name)).unwrap();
        let url = format!("data:image/{kind};base64,{text}");
        assert_eq!(
            shown,
            json!([{ "type": "input_image", "image_url": url, "detail": "original" }])
        );
    }
    assert!(!ran.stdout.contains("p.png"), "it is no item");
}

/// What base64 text stands for.
fn decoded(text: &str) -> Vec<u8> {
    let digit = |c: u8| -> u32 {
        let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        digits
            .iter()
            .position(|digit| *digit == c)
            .unwrap()
            .try_into()
            .unwrap()
    };
    let text = text.trim_end_matches('=').as_bytes();
    let whole = |chunk: &[u8]| {
        let bits = chunk.iter().fold(0, |bits, c| bits << 6 | digit(*c)) << (6 * (4 - chunk.len()));
        bits.to_be_bytes()[1..chunk.len()].to_vec()
    };
    text.chunks(4).flat_map(whole).collect()
}

#[tokio::test]
async fn what_is_no_image_is_named() {
    let lab = with_calls(&[
        ("a", "view_image", json!({ "path": "none.png" })),
        ("b", "view_image", json!({ "path": "." })),
        ("c", "view_image", json!({ "path": "text.png" })),
        ("d", "view_image", json!({ "path": "cut.png" })),
        ("e", "view_image", json!({ "path": "huge.png" })),
        ("f", "view_image", json!({ "path": "pipe.png" })),
        ("g", "view_image", json!({ "path": "half.png" })),
    ])
    .await;
    lab.write("half.png", &decoded(PIXELS[0].2)[..60]);
    lab.write("text.png", "text");
    lab.write("cut.png", &decoded(PIXELS[0].2)[..20]);
    let huge = std::fs::File::create(lab.write("huge.png", decoded(PIXELS[0].2))).unwrap();
    huge.set_len(30 * 1024 * 1024).unwrap();
    let pipe = lab.project().join("pipe.png");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(pipe)
            .status()
            .unwrap()
            .success()
    );
    run(&lab).await;
    for (id, expected) in [
        (
            "a",
            "cannot read the image `/project/none.png`: No such file or directory (os error 2)",
        ),
        ("b", "cannot show `/project/.`: it is not a file"),
        (
            "c",
            "cannot show `/project/text.png`: it is no PNG, JPEG, GIF or WebP image",
        ),
        ("d", "cannot show `/project/cut.png`: it is damaged"),
        (
            "e",
            "cannot show `/project/huge.png`: it has 31457280 bytes, and 20971520 is the most",
        ),
        ("f", "cannot show `/project/pipe.png`: it is not a file"),
        (
            "g",
            "cannot show `/project/half.png`: it is damaged: its end is missing",
        ),
    ] {
        assert_eq!(lab.normal(&lab.output_of(id)), expected);
    }
}

#[tokio::test]
async fn an_image_that_the_service_refuses_is_left_out_and_the_turn_goes_on() {
    let refused = "[[response]]\nactions = [{ status = 400, body = { error = { code = 'invalid_image', message = 'odd' } } }]\n";
    let show = super::response(&("a", "view_image", json!({ "path": "p.png" })));
    let lab = super::with_script(&[show.as_str(), refused].concat()).await;
    lab.write("p.png", decoded(PIXELS[0].2));
    let ran = run(&lab).await;
    let note = "[an image was here; the model's service cannot use an image of this conversation]";
    let told: Value = serde_json::from_str(&lab.output_of("a")).unwrap();
    assert_eq!(told, json!([{ "type": "input_text", "text": note }]));
    let warning = "the model's service cannot use an image of this conversation: odd; the conversation goes on without its images";
    let said = ran
        .events()
        .into_iter()
        .any(|event| event["item"]["message"] == warning);
    assert!(said, "{}", ran.stdout);
}

#[tokio::test]
async fn a_plan_is_confirmed_and_shown() {
    let plan = json!({
        "explanation": "why",
        "plan": [
            { "step": "one", "status": "completed" },
            { "step": "two", "status": "in_progress" },
            { "step": "three", "status": "pending" },
        ],
    });
    let lab = with_calls(&[("a", "update_plan", plan)]).await;
    let ran = run(&lab).await;
    assert_eq!(lab.output_of("a"), "Plan updated");
    let events = ran.events();
    let shown = events
        .iter()
        .find(|event| event["item"]["type"] == "todo_list");
    let steps = json!([
        { "text": "one", "completed": true },
        { "text": "two", "completed": false },
        { "text": "three", "completed": false },
    ]);
    assert_eq!(shown.unwrap()["item"]["items"], steps);
}
