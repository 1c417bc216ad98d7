//! The page: its parts, and how data gets into it.

use std::io::{self, Write};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

use super::document::Document;

const STYLE: &str = include_str!("report.css");
const SCRIPT: &str = include_str!("report.js");

/// Writes the page.
///
/// Its policy allows the one script and the one style that stand in it, by their hashes, and no network. So what
/// a name in the data looks like does not matter even where a browser would take it for a script.
pub(super) fn write(document: &Document<'_>, out: &mut impl Write) -> io::Result<()> {
    let (style, script) = (hash(STYLE), hash(SCRIPT));
    write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src '{script}'; \
         style-src '{style}'; base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<meta name=\"referrer\" content=\"no-referrer\">\n\
         <title>walkprobe report</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <noscript>The report wants JavaScript; it loads nothing.</noscript>\n\
         <script type=\"application/json\" id=\"data\">{}</script>\n<script>{SCRIPT}</script>\n</body>\n</html>\n",
        harmless_json(document)?
    )
}

/// As a policy names a script or a style.
fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text)))
}

/// JSON without characters that mean something to HTML. They stand in texts only, where JSON has another way to write them.
fn harmless_json(document: &Document<'_>) -> io::Result<String> {
    let json = serde_json::to_string(document)?;
    let mut harmless = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '<' => harmless.push_str("\\u003c"),
            '>' => harmless.push_str("\\u003e"),
            '&' => harmless.push_str("\\u0026"),
            other => harmless.push(other),
        }
    }
    Ok(harmless)
}
