"""
How much CPU, memory and time smtpsource takes, beside Postfix's smtp-source and others. See README.rst.
"""
