package metrics

// Value is what Publish publishes, for tests that have less patience.
var Value = value
