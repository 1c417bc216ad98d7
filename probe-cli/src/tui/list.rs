//! Rows that one of can be selected, and that scroll: what every table has.

use ratatui::layout::Rect;

/// The rows of a table by what tells them apart, and what the user made of them.
#[derive(Debug)]
pub(super) struct List<K> {
    keys: Vec<K>,
    selected: Option<K>,
    /// What was selected before the rows went away that will come again.
    expected: Option<K>,
    /// Where the selected row is, or was last.
    cursor: usize,
    offset: usize,
    page: usize,
}

impl<K> Default for List<K> {
    fn default() -> Self {
        Self { keys: Vec::new(), selected: None, expected: None, cursor: 0, offset: 0, page: 0 }
    }
}

impl<K: Copy + PartialEq> List<K> {
    /// Takes the rows in order, and finds the selected one again; when it is gone, whatever stands in its place
    /// is selected.
    pub(super) fn arrange(&mut self, keys: impl Iterator<Item = K>) {
        self.keys.clear();
        self.keys.extend(keys);
        if let Some(expected) = self.expected.filter(|key| self.keys.contains(key)) {
            self.selected = Some(expected);
            self.expected = None;
        }
        if let Some(selected) = self.selected {
            match self.keys.iter().position(|&key| key == selected) {
                Some(place) => self.cursor = place,
                None => self.select(self.cursor),
            }
        }
        self.scroll();
    }

    /// The rows go away and come again: what is selected now will be selected then.
    pub(super) fn expect_again(&mut self) {
        self.expected = self.expected.or(self.selected);
    }

    /// Moves the selection by rows; the first move selects the row in view.
    pub(super) fn step(&mut self, rows: isize) {
        match self.selected {
            None => self.select(self.offset),
            Some(_) => self.select(self.cursor.saturating_add_signed(rows)),
        }
    }

    /// Moves the selection by pages.
    pub(super) fn page(&mut self, pages: isize) {
        let rows = isize::try_from(self.page.max(2) - 1).unwrap_or(isize::MAX);
        self.step(pages.saturating_mul(rows));
    }

    /// Selects the row at a place, or the last one.
    pub(super) fn select(&mut self, place: usize) {
        self.cursor = place.min(self.keys.len().saturating_sub(1));
        self.selected = self.keys.get(self.cursor).copied();
        self.scroll();
    }

    /// The selected row; where there is none, the first one in view, which is selected then.
    pub(super) fn choose(&mut self) -> Option<K> {
        if self.selected.is_none() {
            self.select(self.offset);
        }
        self.selected
    }

    /// Selects nothing.
    pub(super) fn deselect(&mut self) {
        self.selected = None;
        self.offset = 0;
    }

    /// The selected row is called so now.
    pub(super) fn rename(&mut self, key: K) {
        self.selected = self.selected.map(|_| key);
    }

    /// The selected row.
    pub(super) fn selected(&self) -> Option<K> {
        self.selected
    }

    /// The place of the selected row, from 1, if any, and the number of rows.
    pub(super) fn position(&self) -> (Option<usize>, usize) {
        (self.selected.map(|_| self.cursor + 1), self.keys.len())
    }

    /// Tells how much room there is; the first line is that of the headings.
    pub(super) fn make_fit(&mut self, area: Rect) {
        self.page = usize::from(area.height.saturating_sub(1));
        self.scroll();
    }

    /// Brings the selected row into view, and no empty rows when there are enough.
    fn scroll(&mut self) {
        if self.selected.is_some() {
            self.offset =
                self.offset.min(self.cursor).max((self.cursor + 1).saturating_sub(self.page));
        }
        self.offset = self.offset.min(self.keys.len().saturating_sub(self.page));
    }

    /// The places of the rows in view.
    pub(super) fn in_view(&self) -> std::ops::Range<usize> {
        self.offset..self.keys.len().min(self.offset + self.page)
    }
}
