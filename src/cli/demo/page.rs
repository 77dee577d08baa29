//! The page of the demo, on a port of its own beside the real server: shows what the receivers have, and takes presses.
//!
//! It has no secrets to keep (the calls are invented), but a foreign page must not press its buttons: requests have to be
//! for its own address, and forms from its own page.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use futures_util::stream;
use handlebars::Handlebars;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::super::Failure;
use super::hall::{Hall, Press};
use super::ledger::Place;
use super::mail;
use super::view::View;
use super::world::Trouble;
use crate::clock::Clock;
use crate::server::serve_until;

/// Served when no port is asked for; another one when it is taken.
const USUAL: u16 = 8380;

/// Between two looks for something new, while somebody has the page open.
const PAUSE: Duration = Duration::from_millis(250);

/// A line that cannot be written tells that the other end is gone.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// For answers under way when the demo ends.
const STOP_PATIENCE: Duration = Duration::from_millis(500);

/// Mails that may still be opened.
const MAILS: usize = 200;

/// Fonts and pictures of a mail are not fetched, as in a careful mail program; its links open beside the page.
const MAIL_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; frame-ancestors 'self'; \
     sandbox allow-popups allow-popups-to-escape-sandbox",
);

/// Files of the page. The board's style comes first: it is the same house.
const ASSETS: [(&str, &str, &str); 3] = [
    ("board.css", "text/css; charset=utf-8", include_str!("../../../templates/web/board.css")),
    ("demo.css", "text/css; charset=utf-8", include_str!("../../../templates/web/demo.css")),
    ("demo.js", "text/javascript; charset=utf-8", include_str!("../../../templates/web/demo.js")),
];

static COMPILED: LazyLock<Handlebars<'static>> = LazyLock::new(compile);

#[expect(clippy::expect_used, reason = "the templates are a part of the program, and a test compiles them")]
fn compile() -> Handlebars<'static> {
    let mut registry = Handlebars::new();
    registry.set_strict_mode(true);
    for (name, text) in [
        ("demo", include_str!("../../../templates/web/demo.hbs")),
        ("demo.post", include_str!("../../../templates/web/demo.post.hbs")),
        ("demo.spans", include_str!("../../../templates/web/demo.spans.hbs")),
    ] {
        registry.register_template_string(name, text).expect("a built-in template compiles");
    }
    registry
}

/// What the handlers know.
#[derive(Clone)]
struct Context {
    hall: Arc<Hall>,
    clock: Clock,
    address: SocketAddr,
    policy: HeaderValue,
    stop: CancellationToken,
}

/// Listens at the port that was asked for, or at a free one when none was.
///
/// # Errors
/// When it cannot be had.
pub(super) async fn listen(port: Option<u16>) -> Result<TcpListener, Failure> {
    let listener = match (TcpListener::bind(("127.0.0.1", port.unwrap_or(USUAL))).await, port) {
        (Err(_), None) => TcpListener::bind(("127.0.0.1", 0)).await,
        (bound, _) => bound,
    };
    listener.map_err(|error| {
        let port = port.unwrap_or_default();
        Failure::Run(format!("cannot listen on 127.0.0.1:{port}: {error}\nhint: choose another --port, or none"))
    })
}

/// Serves the page until `stop`.
///
/// # Errors
/// When the listener has no address.
pub(super) fn serve(
    listener: TcpListener,
    hall: Arc<Hall>,
    clock: Clock,
    stop: CancellationToken,
) -> Result<impl Future<Output = ()> + Send + 'static, Failure> {
    let failed =
        |error: &dyn std::fmt::Display| Failure::Run(format!("the page of the demo cannot be served: {error}"));
    let address = listener.local_addr().map_err(|error| failed(&error))?;
    // The form of the board's login goes to the real server.
    let policy = format!(
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src data:; connect-src 'self'; frame-src 'self'; \
         form-action 'self' {}; frame-ancestors 'none'; base-uri 'none'",
        hall.door.url
    );
    let policy = HeaderValue::from_str(&policy).map_err(|error| failed(&error))?;
    let context = Context { hall, clock, address, policy, stop: stop.clone() };
    let router = Router::new()
        .route("/", get(show))
        .route("/live", get(live))
        .route("/assets/{name}", get(asset))
        .route("/mails/{number}", get(letter))
        .route("/calls/{deed}", post(press))
        .route("/receivers/{place}", post(set))
        .layer(middleware::from_fn_with_state(context.clone(), guard))
        .with_state(context);
    Ok(serve_until(listener, router, STOP_PATIENCE, stop))
}

/// Refuses what is not for this address (a name that somebody lets point here) or comes from another page, and adds the
/// headers that every answer has.
async fn guard(State(context): State<Context>, request: Request, next: Next) -> Response {
    let own = format!("http://{}", context.address);
    let mut answer = if is_ours(&request, &own) {
        next.run(request).await
    } else {
        (StatusCode::FORBIDDEN, format!("the page of the demo is at {own}/\n")).into_response()
    };
    let headers = answer.headers_mut();
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(context.policy);
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Chromium sends no `Origin` but `null` with forms when nothing may be said of where they come from.
        (header::REFERRER_POLICY, "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    answer
}

fn is_ours(request: &Request, own: &str) -> bool {
    let is = |name, wanted: &str| request.headers().get(name).map(|value| value.as_bytes() == wanted.as_bytes());
    let here = is(header::HOST, own.trim_start_matches("http://")).unwrap_or(false);
    // Programs send no origin; browsers do with every form.
    here && (request.method().is_safe() || is(header::ORIGIN, own).unwrap_or(true))
}

async fn show(State(context): State<Context>) -> Response {
    match COMPILED.render("demo", &View::of(&context.hall)) {
        Ok(html) => Html(html).into_response(),
        Err(error) => {
            tracing::error!(line = ?error.line_no, column = ?error.column_no, "the page of the demo could not be made");
            (StatusCode::INTERNAL_SERVER_ERROR, "this page could not be made; the log says where\n").into_response()
        }
    }
}

async fn asset(Path(name): Path<String>) -> Response {
    match ASSETS.into_iter().find(|(known, ..)| *known == name) {
        Some((_, kind, text)) => ([(header::CONTENT_TYPE, kind)], text).into_response(),
        None => (StatusCode::NOT_FOUND, "there is no such file\n").into_response(),
    }
}

/// The HTML of a mail; the first one is 1.
async fn letter(State(context): State<Context>, Path(number): Path<usize>) -> Response {
    let mails = &context.hall.world.mail;
    let known = mails.accepted();
    let mail = (number > known.saturating_sub(MAILS)).then(|| mails.since(number.saturating_sub(1)).into_iter().next());
    let Some(mail) = mail.flatten() else {
        return (StatusCode::NOT_FOUND, "this mail is not kept any more\n").into_response();
    };
    // Links that opened inside of the frame would have to stay in its sandbox.
    let html = mail::read(&mail.data).html.replacen("<head>", "<head><base target=\"_blank\">", 1);
    ([(header::CONTENT_SECURITY_POLICY, MAIL_POLICY)], Html(html)).into_response()
}

async fn press(State(context): State<Context>, Path(deed): Path<String>, headers: HeaderMap) -> Response {
    let press = match &*deed {
        "miss" => Press::Miss,
        "voicemail" => Press::Voicemail,
        "return" => Press::Return,
        _ => return (StatusCode::NOT_FOUND, "there is no such button\n").into_response(),
    };
    pressed(&context, press, &headers)
}

async fn set(State(context): State<Context>, Path(place): Path<Place>, headers: HeaderMap, body: Bytes) -> Response {
    let field = url::form_urlencoded::parse(&body).find(|(key, _)| key == "trouble");
    let trouble = match field.as_ref().map(|(_, value)| &**value) {
        Some("none") => Trouble::None,
        Some("fails") => Trouble::Fails,
        Some("hangs") => Trouble::Hangs,
        _ => return (StatusCode::BAD_REQUEST, "trouble is none, fails or hangs\n").into_response(),
    };
    pressed(&context, Press::Set(place, trouble), &headers)
}

/// The script of the page wants no page in return.
fn pressed(context: &Context, press: Press, headers: &HeaderMap) -> Response {
    if !context.hall.press(press) {
        return (StatusCode::SERVICE_UNAVAILABLE, "the demo has ended, or too much is pressed at once\n")
            .into_response();
    }
    if headers.contains_key("x-from-script") {
        return StatusCode::NO_CONTENT.into_response();
    }
    (StatusCode::SEE_OTHER, [(header::LOCATION, "/")]).into_response()
}

/// Says when the page looks different.
async fn live(State(context): State<Context>) -> Response {
    let listener = (context, String::new());
    let events = stream::unfold(listener, |(context, mut print)| async {
        let quiet_until = context.clock.tick() + KEEP_ALIVE;
        let event = loop {
            let now = context.hall.print();
            if now != print {
                print.clone_from(&now);
                break format!("event: changed\ndata: {now}\n\n");
            }
            if context.clock.tick() >= quiet_until {
                break ": still here\n\n".to_owned();
            }
            context.stop.run_until_cancelled(context.clock.sleep(PAUSE)).await?;
        };
        Some((Ok::<_, Infallible>(event), (context, print)))
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(events)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_compile_and_bring_no_script_or_style_of_their_own() {
        assert_eq!(compile().get_templates().len(), 3);
        for name in ["demo", "demo.post", "demo.spans"] {
            let file = format!("{}/templates/web/{name}.hbs", env!("CARGO_MANIFEST_DIR"));
            let text = std::fs::read_to_string(file).unwrap();
            for inline in ["<style", " style=", " onclick", " onload", "javascript:", "{{{"] {
                assert!(!text.contains(inline), "{name}: {inline}");
            }
            assert_eq!(text.matches("<script").count(), text.matches("<script src=").count(), "{name}");
        }
    }
}
