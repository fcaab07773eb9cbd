# fish: smtpsource itself says what can be completed, when it is first wanted.
command smtpsource completion fish 2>/dev/null | source
