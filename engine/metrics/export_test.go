package metrics

// Value is what Publish publishes. Tests have less patience.
var Value = value

// ByteSize is how the page of Inspect shows a number of bytes.
var ByteSize = byteSize

// WritePage writes the page of Inspect.
var WritePage = writePage
