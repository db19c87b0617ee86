// Package entries has programs and Dockerfiles that are ready to be sent to public benchmark
// suites. docs/benchmarks/others.md says how to use them.
package entries
