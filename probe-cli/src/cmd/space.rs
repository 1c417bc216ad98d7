//! How large an address space is that is built.

/// An argument of all commands that build one.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct SpaceSize {
    /// How large the space is, in pieces of 2 MiB; of 1 GiB pages there is one
    #[arg(long, value_name = "B", default_value_t = 4,
        value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub(super) blocks: u16,
}
