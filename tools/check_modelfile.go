// Renders the template of a Modelfile as Ollama does, with Go's own text/template. What a template is given, and what is
// done for one that knows a single turn, follows Ollama's template/template.go (Execute, collate, deleteNode).
//
//	go run tools/check_modelfile.go < REQUEST
//
// The request is {"template": "...", "conversations": [[{"role": "...", "content": "..."}]]}; the reply is a list with
// {"text": "..."} or {"error": "..."} for each.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"text/template"
	"text/template/parse"
)

type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

type request struct {
	Template      string      `json:"template"`
	Conversations [][]message `json:"conversations"`
}

type result struct {
	Text  string `json:"text"`
	Error string `json:"error,omitempty"`
}

func parsed(source string) (*template.Template, error) {
	functions := template.FuncMap{"json": func(value any) string {
		text, _ := json.Marshal(value)
		return string(text)
	}}
	return template.New("").Option("missingkey=zero").Funcs(functions).Parse(source)
}

// Successive messages of one role are one; the system messages are handed over together as well.
func collated(messages []message) (string, []*message) {
	var system []string
	var joined []*message
	for i := range messages {
		own := messages[i]
		if own.Role == "system" {
			system = append(system, own.Content)
		}
		if last := len(joined) - 1; last >= 0 && joined[last].Role == own.Role {
			joined[last].Content += "\n\n" + own.Content
		} else {
			joined = append(joined, &own)
		}
	}
	return strings.Join(system, "\n\n"), joined
}

func render(source string, messages []message) (string, error) {
	whole, err := parsed(source)
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	system, joined := collated(messages)
	if mentions(whole.Root, "Messages") {
		err := whole.Execute(&out, map[string]any{"System": system, "Messages": joined, "Tools": nil, "Response": ""})
		return out.String(), err
	}
	turn := map[string]any{"System": "", "Prompt": "", "Response": ""}
	call := func(called *template.Template) error {
		err := called.Execute(&out, turn)
		turn["System"], turn["Prompt"], turn["Response"] = "", "", ""
		return err
	}
	place := map[string]string{"system": "System", "user": "Prompt", "assistant": "Response"}
	for _, own := range joined {
		over := own.Role == "system" && (turn["Prompt"] != "" || turn["Response"] != "")
		if over || own.Role == "user" && turn["Response"] != "" {
			if err := call(whole); err != nil {
				return "", err
			}
		}
		turn[place[own.Role]] = own.Content
	}
	// The last answer is still to come: the template ends where it would stand.
	root := whole.Root.Copy().(*parse.ListNode)
	until := false
	cut(root, &until)
	last, err := parsed("")
	if err != nil {
		return "", err
	}
	if last, err = last.AddParseTree("last", &parse.Tree{Root: root}); err != nil {
		return "", err
	}
	err = call(last)
	return out.String(), err
}

// Whether a field or variable of this name stands anywhere.
func mentions(node parse.Node, name string) bool {
	return strings.Contains(node.String(), "."+name)
}

// Takes out everything from the first action that writes .Response on.
func cut(list *parse.ListNode, over *bool) {
	if list == nil {
		return
	}
	kept := list.Nodes[:0]
	for _, node := range list.Nodes {
		if action, ok := node.(*parse.ActionNode); ok && mentions(action, "Response") {
			*over = true
		}
		if *over {
			break
		}
		switch branch := node.(type) {
		case *parse.IfNode:
			cut(branch.List, over)
			cut(branch.ElseList, over)
		case *parse.RangeNode:
			cut(branch.List, over)
			cut(branch.ElseList, over)
		case *parse.WithNode:
			cut(branch.List, over)
			cut(branch.ElseList, over)
		}
		kept = append(kept, node)
	}
	list.Nodes = kept
}

func main() {
	var asked request
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	results := make([]result, 0, len(asked.Conversations))
	for _, messages := range asked.Conversations {
		text, err := render(asked.Template, messages)
		if err != nil {
			results = append(results, result{Error: err.Error()})
			continue
		}
		results = append(results, result{Text: text})
	}
	json.NewEncoder(os.Stdout).Encode(results)
}
