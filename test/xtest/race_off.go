//go:build !race

package xtest

const raceEnabled = false
