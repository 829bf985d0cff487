from callytics.cli import main

main()
