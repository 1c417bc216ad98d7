//! The forms of leaf maps behind one trait: sets come one after another, and the form is finished
//! when there are no more.

use std::io::{self, Write};

use super::{
    Look,
    csv::Csv,
    json, runs,
    svg::Picture,
    table::{self, Options},
    totals, write_heading,
};
use crate::model::{set::TranslationSet, statistics::Statistics};

/// A form that translation sets are shown in.
pub trait View {
    /// Shows a set.
    ///
    /// # Errors
    /// When it cannot be written.
    fn add(&mut self, set: &TranslationSet) -> io::Result<()>;

    /// Ends.
    ///
    /// # Errors
    /// When the end cannot be written.
    fn finish(&mut self) -> io::Result<()>;
}

/// Tables with totals, and a total of totals behind several.
pub struct Tables<W> {
    out: W,
    options: Options,
    look: Look,
    sets: usize,
    vmas: usize,
    sum: Statistics,
}

impl<W: Write> Tables<W> {
    /// No table yet.
    pub fn new(out: W, options: Options, look: Look) -> Self {
        Self { out, options, look, sets: 0, vmas: 0, sum: Statistics::default() }
    }
}

impl<W: Write> View for Tables<W> {
    fn add(&mut self, set: &TranslationSet) -> io::Result<()> {
        apart(self.sets, &mut self.out)?;
        write_heading(set, self.look, &mut self.out)?;
        let statistics = table::write(set, self.options, self.look, &mut self.out)?;
        totals::write(set, &statistics, self.look, &mut self.out)?;
        self.sets += 1;
        self.vmas += set.maps().len();
        self.sum.merge(&statistics);
        self.out.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        if self.sets > 1 {
            let heading = format!("{} processes; what they share counts for each", self.sets);
            writeln!(self.out, "\n{}", self.look.bold(&heading))?;
            totals::write_statistics(&self.sum, self.vmas, self.look, &mut self.out)?;
        }
        self.out.flush()
    }
}

/// Every run.
pub struct Runs<W> {
    out: W,
    no_holes: bool,
    look: Look,
    sets: usize,
}

impl<W: Write> Runs<W> {
    /// No run yet.
    pub fn new(out: W, no_holes: bool, look: Look) -> Self {
        Self { out, no_holes, look, sets: 0 }
    }
}

impl<W: Write> View for Runs<W> {
    fn add(&mut self, set: &TranslationSet) -> io::Result<()> {
        apart(self.sets, &mut self.out)?;
        self.sets += 1;
        write_heading(set, self.look, &mut self.out)?;
        runs::write(set, self.no_holes, self.look, &mut self.out)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// JSON, a line for each set.
pub struct Json<W> {
    out: W,
    no_holes: bool,
}

impl<W: Write> Json<W> {
    /// No set yet.
    pub fn new(out: W, no_holes: bool) -> Self {
        Self { out, no_holes }
    }
}

impl<W: Write> View for Json<W> {
    fn add(&mut self, set: &TranslationSet) -> io::Result<()> {
        json::write(set, self.no_holes, &mut self.out)?;
        self.out.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl<W: Write> View for Csv<W> {
    fn add(&mut self, set: &TranslationSet) -> io::Result<()> {
        self.write(set)
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A picture, which is written at the end because its height stands at its start.
pub struct Svg<W> {
    out: W,
    picture: Picture,
}

impl<W: Write> Svg<W> {
    /// An empty picture.
    pub fn new(out: W) -> Self {
        Self { out, picture: Picture::default() }
    }
}

impl<W: Write> View for Svg<W> {
    fn add(&mut self, set: &TranslationSet) -> io::Result<()> {
        self.picture.add(set);
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        std::mem::take(&mut self.picture).write(&mut self.out)?;
        self.out.flush()
    }
}

fn apart(sets: usize, out: &mut impl Write) -> io::Result<()> {
    if sets > 0 { writeln!(out) } else { Ok(()) }
}
