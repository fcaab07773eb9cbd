# fish: smtpsink itself says what can be completed, when it is first wanted.
command smtpsink completion fish 2>/dev/null | source
