//! What pages are made to look and move by: files in the program, which browsers keep until they change.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::auth::hex;

struct Asset {
    name: &'static str,
    kind: &'static str,
    text: &'static str,
}

const CSS: Asset =
    Asset { name: "board.css", kind: "text/css; charset=utf-8", text: include_str!("../../templates/web/board.css") };
const JS: Asset = Asset {
    name: "board.js",
    kind: "text/javascript; charset=utf-8",
    text: include_str!("../../templates/web/board.js"),
};

/// The files of the board, as its pages name them: behind the prefix.
#[derive(Debug, Serialize)]
pub(super) struct Names {
    css: String,
    js: String,
}

/// With the digest of what is in it: another text has another address.
pub(super) static NAMES: LazyLock<Names> = LazyLock::new(|| Names { css: address(&CSS), js: address(&JS) });

fn address(asset: &Asset) -> String {
    let digest = Sha256::digest(asset.text);
    format!("/assets/{}?v={}", asset.name, hex(&digest[..6]))
}

/// `GET /assets/NAME`, for everybody: there is nothing of the office in it.
pub(super) async fn serve(Path(name): Path<String>) -> Response {
    match [CSS, JS].into_iter().find(|asset| asset.name == name) {
        Some(asset) => {
            let headers =
                [(header::CONTENT_TYPE, asset.kind), (header::CACHE_CONTROL, "public, max-age=31536000, immutable")];
            (headers, asset.text).into_response()
        }
        None => (StatusCode::NOT_FOUND, "there is no such file\n").into_response(),
    }
}
