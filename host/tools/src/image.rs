//! `view_image`: shows the model an image file.

use std::path::{Path, PathBuf};
use std::time::Instant;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dovetail_core::event::ToolActivity;
use dovetail_core::item::{ContentItem, OutputPayload};
use dovetail_core::tool::{CallContext, Tool, ToolCall, ToolInput, ToolOutcome, ToolSpec};
use dovetail_core::verdict::Cleared;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::arguments;
use crate::image_type::{UnusableImage, image_type};

/// The largest file taken. Services refuse requests much beyond this, and the text form is a third larger.
const LARGEST: u64 = 20 * 1024 * 1024;

pub(crate) struct ViewImage {
    spec: ToolSpec,
}

#[derive(Deserialize)]
struct Arguments {
    path: PathBuf,
}

#[derive(Debug, thiserror::Error)]
enum ImageError {
    #[error("cannot read the image `{}`: {source}", path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("cannot show `{}`: it is not a file", .0.display())]
    NotAFile(PathBuf),
    #[error("cannot show `{}`: it has {size} bytes, and {LARGEST} is the most", path.display())]
    TooLarge { path: PathBuf, size: u64 },
    #[error("cannot show `{}`: {why}", path.display())]
    Unusable { path: PathBuf, why: UnusableImage },
}

impl ViewImage {
    pub(crate) fn new() -> Self {
        let parameters = json!({
            "type": "object",
            "properties": {
                "path": { "type": "string", "description": "The image file; relative to the working directory." },
            },
            "required": ["path"],
            "additionalProperties": false,
        });
        Self {
            spec: ToolSpec {
                name: "view_image".to_owned(),
                namespace: None,
                description: "Shows you an image on this machine (PNG, JPEG, GIF or WebP)."
                    .to_owned(),
                input: ToolInput::Function { parameters },
                parallel_safe: false,
            },
        }
    }
}

#[async_trait]
impl Tool for ViewImage {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn hook_name(&self) -> String {
        self.spec.name.clone()
    }

    fn hook_input(&self, call: &ToolCall) -> Result<Value, String> {
        arguments::parse(call)
    }

    fn rewrite(&self, call: ToolCall, input: Value) -> Result<ToolCall, String> {
        Ok(arguments::replace(call, &input))
    }

    async fn run(&self, call: Cleared<ToolCall>, context: &CallContext) -> ToolOutcome {
        let started = Instant::now();
        let Arguments { path } = match arguments::parse(call.get()) {
            Ok(arguments) => arguments,
            Err(text) => return ToolOutcome::refused(text),
        };
        let path = context.cwd.join(path);
        match data_url(&path).await {
            Ok(image_url) => {
                context.finished(
                    &call.get().call_id,
                    ToolActivity::Image { path },
                    started.elapsed(),
                );
                let detail = Some("original".to_owned());
                let output =
                    OutputPayload::Items(vec![ContentItem::InputImage { image_url, detail }]);
                ToolOutcome {
                    output,
                    success: true,
                }
            }
            Err(error) => ToolOutcome::refused(error.to_string()),
        }
    }
}

async fn data_url(path: &Path) -> Result<String, ImageError> {
    let failed = |source| ImageError::Read {
        path: path.to_owned(),
        source,
    };
    let found = tokio::fs::metadata(path).await.map_err(failed)?;
    if !found.is_file() {
        return Err(ImageError::NotAFile(path.to_owned()));
    }
    if found.len() > LARGEST {
        return Err(ImageError::TooLarge {
            path: path.to_owned(),
            size: found.len(),
        });
    }
    let bytes = tokio::fs::read(path).await.map_err(failed)?;
    let kind = image_type(&bytes).map_err(|why| ImageError::Unusable {
        path: path.to_owned(),
        why,
    })?;
    Ok(format!("data:{kind};base64,{}", STANDARD.encode(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image_type::PNG;
    use crate::testing::{Bench, function};

    #[tokio::test]
    async fn an_image_becomes_a_data_url() {
        let mut bench = Bench::new();
        std::fs::write(bench.cwd().join("p.png"), PNG).unwrap();
        let outcome = bench
            .run(
                &ViewImage::new(),
                function("view_image", &json!({"path": "p.png"})),
            )
            .await;
        let item = ContentItem::InputImage {
            image_url: format!("data:image/png;base64,{}", STANDARD.encode(PNG)),
            detail: Some("original".to_owned()),
        };
        assert_eq!(
            outcome,
            ToolOutcome {
                output: OutputPayload::Items(vec![item]),
                success: true
            }
        );
    }

    #[tokio::test]
    async fn what_cannot_be_shown_is_said() {
        let mut bench = Bench::new();
        let cwd = bench.cwd().display().to_string();
        std::fs::write(bench.cwd().join("t.png"), b"text").unwrap();
        std::fs::write(bench.cwd().join("d.png"), b"\x89PNG\r\n\x1a\n").unwrap();
        for (path, expected) in [
            (
                "none.png",
                format!(
                    "cannot read the image `{cwd}/none.png`: No such file or directory (os error 2)"
                ),
            ),
            (".", format!("cannot show `{cwd}/.`: it is not a file")),
            (
                "t.png",
                format!("cannot show `{cwd}/t.png`: it is no PNG, JPEG, GIF or WebP image"),
            ),
            ("d.png", format!("cannot show `{cwd}/d.png`: it is damaged")),
        ] {
            let outcome = bench
                .run(
                    &ViewImage::new(),
                    function("view_image", &json!({"path": path})),
                )
                .await;
            assert_eq!(outcome, ToolOutcome::refused(expected));
        }
    }
}
