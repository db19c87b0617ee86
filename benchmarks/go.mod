module github.com/myriadnet/myriad/benchmarks

go 1.26.0

require github.com/myriadnet/myriad v0.0.0-00010101000000-000000000000

require (
	github.com/klauspost/compress v1.20.3 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace github.com/myriadnet/myriad => ..
