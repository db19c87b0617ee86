// Package paged has an array that grows without moving its elements.
package paged
