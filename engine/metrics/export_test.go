package metrics

// Value is what Publish publishes, for tests that have less patience.
var Value = value

// ByteSize is what the page of Inspect shows of a number of bytes.
var ByteSize = byteSize

// WritePage is the page of Inspect.
var WritePage = writePage
