//! The command line: help texts as snapshots, and the commands of the README.

use clap::{CommandFactory as _, Parser as _};
use walkprobe::cli::Cli;

#[test]
fn help_of_every_subcommand() {
    let mut text = String::new();
    let mut command = Cli::command().term_width(100);
    command.build();
    let mut pages = vec![command];
    while let Some(mut page) = pages.pop() {
        let below = page.get_subcommands().filter(|below| !below.is_hide_set());
        pages.extend(below.filter(|below| below.get_name() != "help").cloned());
        let name = page.get_display_name().unwrap_or_default().replace('-', " ");
        text.extend([format!(
            "$ {name} --help
{}

",
            page.render_long_help()
        )]);
    }
    insta::assert_snapshot!(text);
}

#[test]
fn every_subcommand_has_examples() {
    for page in Cli::command().get_subcommands().filter(|page| !page.is_hide_set()) {
        let has_below = page.get_subcommands().next().is_some();
        let examples = page.get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(has_below || examples.contains("Examples:"), "{} has none", page.get_name());
    }
}

#[test]
fn the_commands_of_the_readme_are_right() {
    let readme = include_str!("../../README.md");
    let mut number = 0;
    for line in readme.lines().filter_map(|line| line.strip_prefix("    walkprobe ")) {
        // Output of top begins with the name, too, and two spaces.
        if line.starts_with(' ') {
            continue;
        }
        // What the shell takes away: comments and redirections.
        let words = line.split(['#', '>']).next().unwrap_or_default().split_whitespace();
        let parsed = Cli::try_parse_from(["walkprobe"].into_iter().chain(words));
        assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
        number += 1;
    }
    assert!(number >= 6, "only {number} commands found");
}
