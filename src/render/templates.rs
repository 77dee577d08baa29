//! The templates: those that are built in, the folder that replaces them, and the three registries that hold them.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use handlebars::{Handlebars, RenderError, RenderErrorReason, TemplateErrorReason};
use jiff::tz::TimeZone;
use serde_json::Value;

use super::{bodies, helpers};
use crate::body::{Body, BodyFormat, BodyTemplate, Recipe};

/// Names and texts of the built-in templates, from the files of the same names.
macro_rules! built_in {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../templates/", $name, ".hbs")))),*]
    };
}

/// By their names in the folder, without the ending `.hbs`.
const BUILT_IN: &[(&str, &str)] = built_in![
    "shared/email.open.html",
    "shared/email.head.html",
    "shared/email.call.html",
    "shared/email.listen.html",
    "shared/email.row.html",
    "shared/email.foot.html",
    "shared/email.row.txt",
    "shared/slack.field.json",
    "shared/slack.number.json",
    "shared/slack.actions.json",
    "tr/email/call.missed.subject.txt",
    "tr/email/call.missed.txt",
    "tr/email/call.missed.html",
    "tr/email/voicemail.new.subject.txt",
    "tr/email/voicemail.new.txt",
    "tr/email/voicemail.new.html",
    "tr/email/digest.subject.txt",
    "tr/email/digest.txt",
    "tr/email/digest.html",
    "tr/slack/digest.json",
    "tr/slack/call.missed.json",
    "tr/slack/call.missed.again.json",
    "tr/slack/voicemail.new.json",
    "tr/email/call.returned.subject.txt",
    "tr/email/call.returned.txt",
    "tr/email/call.returned.html",
    "tr/slack/call.returned.json",
    "tr/slack/call.returned.update.json",
    "tr/email/voicemail.heard.subject.txt",
    "tr/email/voicemail.heard.txt",
    "tr/email/voicemail.heard.html",
    "tr/slack/voicemail.heard.json",
    "tr/slack/voicemail.heard.update.json",
    "en/email/call.missed.subject.txt",
    "en/email/call.missed.txt",
    "en/email/call.missed.html",
    "en/email/voicemail.new.subject.txt",
    "en/email/voicemail.new.txt",
    "en/email/voicemail.new.html",
    "en/email/digest.subject.txt",
    "en/email/digest.txt",
    "en/email/digest.html",
    "en/slack/digest.json",
    "en/slack/call.missed.json",
    "en/slack/call.missed.again.json",
    "en/slack/voicemail.new.json",
    "recipes/teams.json",
    "recipes/discord.json",
    "recipes/mattermost.json",
    "recipes/google-chat.json",
    "recipes/telegram.json",
    "recipes/ntfy.txt",
    "en/email/call.returned.subject.txt",
    "en/email/call.returned.txt",
    "en/email/call.returned.html",
    "en/slack/call.returned.json",
    "en/slack/call.returned.update.json",
    "en/email/voicemail.heard.subject.txt",
    "en/email/voicemail.heard.txt",
    "en/email/voicemail.heard.html",
    "en/slack/voicemail.heard.json",
    "en/slack/voicemail.heard.update.json",
    "tr/email/call.unreturned.subject.txt",
    "tr/email/call.unreturned.txt",
    "tr/email/call.unreturned.html",
    "tr/slack/call.unreturned.json",
    "en/email/call.unreturned.subject.txt",
    "en/email/call.unreturned.txt",
    "en/email/call.unreturned.html",
    "en/slack/call.unreturned.json",
    "tr/email/voicemail.unheard.subject.txt",
    "tr/email/voicemail.unheard.txt",
    "tr/email/voicemail.unheard.html",
    "tr/slack/voicemail.unheard.json",
    "en/email/voicemail.unheard.subject.txt",
    "en/email/voicemail.unheard.txt",
    "en/email/voicemail.unheard.html",
    "en/slack/voicemail.unheard.json",
];

/// Compiled templates. One registry per format, since each escapes values in its own way.
///
/// The built-in ones are compiled for the first message that needs their format: whoever has no mail need not wait for
/// forty templates of mails, nor keep them. What a person has written is compiled at once, and its mistakes told.
pub(super) struct Templates {
    timezone: TimeZone,
    text: OnceLock<Handlebars<'static>>,
    html: OnceLock<Handlebars<'static>>,
    json: OnceLock<Handlebars<'static>>,
    form: OnceLock<Handlebars<'static>>,
    /// Which built-in ones were replaced, and by which file.
    replaced: BTreeMap<String, PathBuf>,
}

impl Templates {
    /// The built-in templates, replaced by the files of the same names in `folder`.
    ///
    /// # Errors
    /// Everything that is wrong: files that cannot be read or compiled, and files that replace nothing.
    pub(super) fn load(folder: Option<&Path>, timezone: &TimeZone) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        let mut templates = Self {
            timezone: timezone.clone(),
            text: OnceLock::new(),
            html: OnceLock::new(),
            json: OnceLock::new(),
            form: OnceLock::new(),
            replaced: BTreeMap::new(),
        };
        if let Some(folder) = folder {
            let mut files = Vec::new();
            list(folder, &mut files, &mut problems);
            for file in files {
                let compiled = replacement(folder, &file).and_then(|(name, text)| {
                    templates.replaced.insert(name.clone(), file);
                    templates.compile(&name, format_of(&name), &text)
                });
                problems.extend(compiled.err());
            }
        }
        if problems.is_empty() { Ok(templates) } else { Err(problems) }
    }

    /// Reads and compiles the files among `bodies`.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub(super) fn add_bodies(&mut self, wanted: &[Body]) -> Result<(), Vec<String>> {
        let mut problems = Vec::new();
        for (body, file) in bodies::files(wanted) {
            let name = bodies::name(&body.template);
            self.replaced.insert(name.clone(), file.to_owned());
            if let Err(problem) = read(file)
                .map_err(|error| misnamed(file, error))
                .and_then(|text| self.compile(&name, body.format, &text))
            {
                problems.push(problem);
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    fn compile(&mut self, name: &str, format: BodyFormat, text: &str) -> Result<(), String> {
        let mut registry = self.cell_mut(format).take().unwrap_or_else(|| built_in(&self.timezone, format));
        let compiled = registry.register_template_string(name, text);
        // Nobody else has filled it meanwhile.
        let _ = self.cell_mut(format).set(registry);
        compiled.map_err(|error| {
            let at = error.pos().map(|(line, column)| format!(":{line}:{column}")).unwrap_or_default();
            let what = match error.reason() {
                // The parser lists all that could stand there, in the words of its grammar.
                TemplateErrorReason::InvalidSyntax(what) if what.contains("helper_block_end") => {
                    "a block is opened and not closed".to_owned()
                }
                TemplateErrorReason::InvalidSyntax(what) if what.contains("tilde") => {
                    "a `{{…}}` is not understood or not closed".to_owned()
                }
                TemplateErrorReason::InvalidSyntax(what) => format!("the syntax is wrong: {what}"),
                other => other.to_string(),
            };
            format!("{}{at}: {what}", self.place(name))
        })
    }

    /// Renders the template of a webhook's body.
    ///
    /// # Errors
    /// File, line and reason, without any value.
    pub(super) fn render_body(
        &self,
        template: &BodyTemplate,
        format: BodyFormat,
        context: &handlebars::Context,
    ) -> Result<String, String> {
        let name = bodies::name(template);
        self.registry(format).render_with_context(&name, context).map_err(|error| self.describe(&name, &error))
    }

    /// How people find the template of a webhook's body.
    pub(super) fn body_place(&self, template: &BodyTemplate) -> String {
        self.place(&bodies::name(template))
    }

    /// Renders one template. `context` is made once for all templates of a message.
    ///
    /// # Errors
    /// File, line and reason, without any value.
    pub(super) fn render(&self, name: &str, context: &handlebars::Context) -> Result<String, String> {
        self.registry(format_of(name)).render_with_context(name, context).map_err(|error| self.describe(name, &error))
    }

    /// How people find a template.
    pub(super) fn place(&self, name: &str) -> String {
        match self.replaced.get(name) {
            Some(file) => file.display().to_string(),
            None => format!("built-in template {name}.hbs"),
        }
    }

    fn describe(&self, name: &str, error: &RenderError) -> String {
        let place = self.place(error.template_name.as_deref().filter(|name| is_known(name)).unwrap_or(name));
        let at = match (error.line_no, error.column_no) {
            (Some(line), Some(column)) => format!(":{line}:{column}"),
            _ => String::new(),
        };
        let what = match error.reason() {
            RenderErrorReason::MissingVariable(Some(name)) => format!("there is no variable `{name}`"),
            RenderErrorReason::MissingVariable(None) => "a variable is not there".to_owned(),
            RenderErrorReason::HelperNotFound(name) => format!("there is no helper `{name}`"),
            RenderErrorReason::PartialNotFound(name) => format!("there is no partial `{name}`"),
            RenderErrorReason::Other(what) => what.clone(),
            other => other.to_string(),
        };
        format!("{place}{at}: {what}")
    }

    fn registry(&self, format: BodyFormat) -> &Handlebars<'static> {
        let cell = match format {
            BodyFormat::Text => &self.text,
            BodyFormat::Markup => &self.html,
            BodyFormat::Json => &self.json,
            BodyFormat::Form => &self.form,
        };
        cell.get_or_init(|| built_in(&self.timezone, format))
    }

    fn cell_mut(&mut self, format: BodyFormat) -> &mut OnceLock<Handlebars<'static>> {
        match format {
            BodyFormat::Text => &mut self.text,
            BodyFormat::Markup => &mut self.html,
            BodyFormat::Json => &mut self.json,
            BodyFormat::Form => &mut self.form,
        }
    }
}

/// The format of a built-in template, by the end of its name.
fn format_of(name: &str) -> BodyFormat {
    match name.rsplit_once('.') {
        Some((_, "html")) => BodyFormat::Markup,
        Some((_, "json")) => BodyFormat::Json,
        _ => BodyFormat::Text,
    }
}

fn is_known(name: &str) -> bool {
    BUILT_IN.iter().any(|(known, _)| *known == name)
}

/// The built-in templates of one format.
fn built_in(timezone: &TimeZone, format: BodyFormat) -> Handlebars<'static> {
    let mut registry = Handlebars::new();
    registry.set_strict_mode(true);
    registry.set_prevent_indent(true);
    registry.register_escape_fn(match format {
        BodyFormat::Text => handlebars::no_escape,
        BodyFormat::Markup => handlebars::html_escape,
        BodyFormat::Json => json_escape,
        BodyFormat::Form => form_escape,
    });
    helpers::register(&mut registry, timezone, format);
    for (name, text) in BUILT_IN.iter().filter(|(name, _)| format_of(name) == format) {
        // Every one compiles, as a test shows; a message without its template would go out in its plain form.
        let _ = registry.register_template_string(name, *text);
    }
    registry
}

fn form_escape(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// The text between the quotes of a JSON string.
fn json_escape(text: &str) -> String {
    let quoted = Value::String(text.to_owned()).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// Every file below `folder`. Hidden ones are left out: editors, and Kubernetes in its mounts, keep their own there.
fn list(folder: &Path, files: &mut Vec<PathBuf>, problems: &mut Vec<String>) {
    let entries = match fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>) {
        Ok(entries) => entries,
        Err(error) => {
            problems.push(format!("cannot read the templates' folder {}: {error}", folder.display()));
            return;
        }
    };
    let mut paths: Vec<_> = entries.iter().map(fs::DirEntry::path).collect();
    paths.sort();
    for path in paths {
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if hidden {
            continue;
        }
        if path.is_dir() {
            list(&path, files, problems);
        } else {
            files.push(path);
        }
    }
}

/// The name that `file` replaces, and its text.
fn replacement(folder: &Path, file: &Path) -> Result<(String, String), String> {
    let relative = file.strip_prefix(folder).unwrap_or(file);
    let parts: Vec<_> = relative.iter().map(|part| part.to_string_lossy()).collect();
    let path = parts.join("/");
    let Some(name) = path.strip_suffix(".hbs").filter(|name| is_known(name)) else {
        return Err(format!("{}: replaces no built-in template\nhint: {}", file.display(), hint(&path)));
    };
    Ok((name.to_owned(), read(file)?))
}

/// The text of a template's file.
fn read(file: &Path) -> Result<String, String> {
    let text = fs::read(file).map_err(|error| format!("{}: cannot be read: {error}", file.display()))?;
    let text = String::from_utf8(text).map_err(|_| format!("{}: is not UTF-8", file.display()))?;
    // As editors on Windows write it; in JSON the mark would be an error, and in a subject a blot.
    Ok(text.trim_start_matches('\u{feff}').replace("\r\n", "\n"))
}

/// A body template that cannot be read: whoever means a recipe and leaves out `recipe:` names a file that is not there.
fn misnamed(file: &Path, problem: String) -> String {
    let stem = file.file_stem().and_then(OsStr::to_str).unwrap_or_default();
    match Recipe::ALL.iter().find(|recipe| recipe.as_str() == stem) {
        Some(recipe) if !file.exists() => {
            let name = recipe.as_str();
            format!("{problem}\nhint: the built-in recipe is named by `body_template: recipe:{name}`")
        }
        _ => problem,
    }
}

/// The names that share the file's own name or its folder, or all of them.
fn hint(path: &str) -> String {
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    let stem = file.trim_end_matches(".hbs");
    let near = |name: &&str| {
        let (own_folder, own_file) = name.rsplit_once('/').unwrap_or(("", name));
        own_folder == folder || own_file == stem
    };
    let all = || BUILT_IN.iter().map(|(name, _)| *name);
    let mut names: Vec<_> = all().filter(near).collect();
    if names.is_empty() {
        names = all().collect();
    }
    let names: Vec<_> = names.iter().map(|name| format!("{name}.hbs")).collect();
    format!("these can be replaced: {}", names.join(", "))
}
