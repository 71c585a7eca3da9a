package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The pages in doc/ are what the modules are now.
func TestPagesAreCurrent(t *testing.T) {
	files, err := render("../../hooks.go")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join("../../../doc", name))
		if err != nil {
			t.Error(err)
		} else if !bytes.Equal(got, want) {
			t.Errorf("doc/%s is out of date: run go generate ./modules/all", name)
		}
	}
}

func TestEveryHookIsDescribed(t *testing.T) {
	docs, err := comments("../../hooks.go")
	if err != nil {
		t.Fatal(err)
	}
	hooks, err := registered()
	if err != nil {
		t.Fatal(err)
	}
	if len(hooks) != len(docs) {
		t.Errorf("Hooks has %d fields, the loader knows %d", len(docs), len(hooks))
	}
	for _, h := range hooks {
		if docs[h.Hook] == "" {
			t.Errorf("%s has no comment", h.Hook)
		}
	}
}

// What proves a line of XEP-0479 is there: a test, and for scenarios the folder.
func TestComplianceIsProved(t *testing.T) {
	list, err := filepath.Glob("../../../test/*_test.go")
	if err != nil || len(list) == 0 {
		t.Fatal("no tests found", err)
	}
	var tests strings.Builder
	for _, f := range list {
		src, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		tests.Write(src)
	}
	for _, d := range compliance {
		if len(d.proof) == 0 && d.note == "" {
			t.Errorf("%s, %s: neither there nor missing", d.suite, d.feature)
		}
		for _, p := range d.proof {
			test, folder, scenario := strings.Cut(p, "/")
			if !strings.Contains(tests.String(), "func "+test+"(") {
				t.Errorf("%s, %s: there is no %s", d.suite, d.feature, test)
			}
			if files, _ := filepath.Glob("../../../test/scenarios/" + folder + "/*.txt"); scenario && len(files) == 0 {
				t.Errorf("%s, %s: there is no scenario in %s", d.suite, d.feature, folder)
			}
		}
	}
}
