"""The rules, one file each: see README.md. A file's one public function has the file's name, which is the rule's id."""
