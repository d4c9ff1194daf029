package table

// Columns is how wide a text is on a terminal.
var Columns = columns
