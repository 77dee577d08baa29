//! Pages: the templates of `templates/web/`, compiled once and escaping for HTML, and the headers that go with a page.

use std::sync::LazyLock;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use handlebars::Handlebars;
use serde::Serialize;

/// By their names in the code and in other templates.
const TEMPLATES: [(&str, &str); 6] = [
    ("board", include_str!("../../templates/web/board.hbs")),
    ("board.frame", include_str!("../../templates/web/board.frame.hbs")),
    ("board.keep", include_str!("../../templates/web/board.keep.hbs")),
    ("board.login", include_str!("../../templates/web/board.login.hbs")),
    ("board.notice", include_str!("../../templates/web/board.notice.hbs")),
    ("board.row", include_str!("../../templates/web/board.row.hbs")),
];

/// Nothing is loaded from elsewhere, no script stands in a page, and no page stands in another.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; \
     form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
);

static COMPILED: LazyLock<Handlebars<'static>> = LazyLock::new(compile);

#[expect(clippy::expect_used, reason = "the templates are a part of the program, and a test compiles them")]
fn compile() -> Handlebars<'static> {
    let mut registry = Handlebars::new();
    registry.set_strict_mode(true);
    for (name, text) in TEMPLATES {
        registry.register_template_string(name, text).expect("a built-in template compiles");
    }
    registry
}

/// The page that `template` makes of `data`.
pub(super) fn page(status: StatusCode, template: &str, data: &impl Serialize) -> Response {
    match COMPILED.render(template, data) {
        Ok(html) => (status, [(header::CONTENT_SECURITY_POLICY, POLICY)], Html(html)).into_response(),
        Err(error) => {
            // The place only: what a template was given are people.
            let (line, column) = (error.line_no, error.column_no);
            tracing::error!(template, ?line, ?column, "a page could not be made, which is a bug");
            (StatusCode::INTERNAL_SERVER_ERROR, "this page could not be made; the log says where\n").into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_compiles_and_escapes() {
        let registry = compile();
        assert_eq!(registry.get_templates().len(), TEMPLATES.len());
        let escaped = registry.render_template("{{x}}", &serde_json::json!({"x": "<b>'\"&"})).unwrap();
        assert!(!escaped.contains(['<', '>', '\'', '"']), "{escaped}");
    }

    #[test]
    fn no_page_brings_a_script_or_a_style_of_its_own() {
        for (name, text) in TEMPLATES {
            for inline in ["<style", " style=", " onclick", " onload", " onsubmit", "javascript:", "{{{"] {
                assert!(!text.contains(inline), "{name}: {inline}");
            }
            let scripts = text.matches("<script").count();
            assert_eq!(scripts, text.matches("<script src=").count(), "{name}");
        }
    }
}
