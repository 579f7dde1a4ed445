//! What texts look like: the table of options names it, and the forms that are made from the table check it.

/// What a text looks like; a form in a browser checks as much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it, and the kinds of text are described where they are read")]
pub enum Pattern {
    Plain,
    Time,
    Rate,
    Size,
    Temperature,
    Share,
    Id,
    Area,
    Date,
    Digits,
    Path,
    Broker,
    Server,
    Page,
    Address,
    HostName,
}

impl Pattern {
    /// As the generated files name it.
    pub const fn name(self) -> &'static str {
        match self {
            Pattern::Plain => "plain",
            Pattern::Time => "time",
            Pattern::Rate => "rate",
            Pattern::Size => "size",
            Pattern::Temperature => "temperature",
            Pattern::Share => "share",
            Pattern::Id => "id",
            Pattern::Area => "area",
            Pattern::Date => "date",
            Pattern::Digits => "digits",
            Pattern::Path => "path",
            Pattern::Broker => "broker",
            Pattern::Server => "server",
            Pattern::Page => "page",
            Pattern::Address => "address",
            Pattern::HostName => "hostname",
        }
    }
}
