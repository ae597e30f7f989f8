//! Columns of a Parquet file with their levels (Melnik et al. 2010, "Dremel"; Apache Parquet, "Nested Encoding").

use parquet::data_type::ByteArray;

/// The values of a leaf, those that are there.
#[derive(Debug)]
pub(super) enum Values {
    Text(Vec<ByteArray>),
    Int(Vec<i32>),
    Float(Vec<f32>),
}

/// A leaf of the schema, with the levels of each of its places where it is not required.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) values: Values,
    pub(super) definition: Option<Vec<i16>>,
    pub(super) repetition: Option<Vec<i16>>,
}

/// A value that is always there.
pub(super) fn required(values: Values) -> Column {
    Column { values, definition: None, repetition: None }
}

/// A value that may be missing.
pub(super) fn optional<T>(cells: Vec<Option<T>>, collect: impl FnOnce(Vec<T>) -> Values) -> Column {
    let definition = cells.iter().map(|cell| i16::from(cell.is_some())).collect();
    let values = collect(cells.into_iter().flatten().collect());
    Column { values, definition: Some(definition), repetition: None }
}

/// The elements of lists that are always there, or a field of these that is.
pub(super) fn listed<T>(rows: Vec<Vec<T>>, collect: impl FnOnce(Vec<T>) -> Values) -> Column {
    let rows = rows.into_iter().map(|row| row.into_iter().map(Some).collect()).collect();
    let mut column = listed_optional(rows, collect);
    // An element that is there is defined at level 1, where it cannot be missing.
    column.definition.iter_mut().flatten().for_each(|level| *level = (*level).min(1));
    column
}

/// A field, which may be missing, of the elements of lists that are always there.
pub(super) fn listed_optional<T>(
    rows: Vec<Vec<Option<T>>>,
    collect: impl FnOnce(Vec<T>) -> Values,
) -> Column {
    let (mut values, mut definition, mut repetition) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        if row.is_empty() {
            definition.push(0);
            repetition.push(0);
        }
        for (at, value) in row.into_iter().enumerate() {
            definition.push(if value.is_some() { 2 } else { 1 });
            repetition.push(i16::from(at > 0));
            values.extend(value);
        }
    }
    Column { values: collect(values), definition: Some(definition), repetition: Some(repetition) }
}

/// Texts as they are stored.
pub(super) fn texts(texts: Vec<String>) -> Values {
    Values::Text(texts.into_iter().map(|text| ByteArray::from(text.into_bytes())).collect())
}
