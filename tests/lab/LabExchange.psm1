# Exchange's cmdlets for PowerShell's own engine: the engine parses, binds and types; the lab's Python changes the directory.
# Needs LAB_DIR (the lab's folder) and LAB_SERVER (the server it runs on) in the environment.

$script:Back = [System.IO.Path]::Combine($PSScriptRoot, 'powershell')
if (-not $env:LAB_DIR -or -not $env:LAB_SERVER) { throw 'LAB_DIR and LAB_SERVER must be set' }

function Invoke-LabCmdlet([string] $Name, $Bound, $Caller) {
    $values = [System.Collections.Generic.Dictionary[string, object]]::new()
    foreach ($key in $Bound.Keys) {
        $value = $Bound[$key]
        if ($value -is [switch]) { $value = [bool] $value }
        elseif ($value -is [enum] -or $value -is [uri]) { $value = [string] $value }
        elseif ($value -is [array]) { $value = [string[]] @($value | ForEach-Object { [string] $_ }) }
        $values[$key] = $value
    }
    $request = [System.Collections.Generic.Dictionary[string, object]]::new()
    $request['name'] = $Name
    $request['values'] = $values
    $json = [System.Text.Json.JsonSerializer]::SerializeToUtf8Bytes($request, [System.Collections.Generic.Dictionary[string, object]])
    $text = [Convert]::ToBase64String($json) | & $script:Back --dir $env:LAB_DIR --server $env:LAB_SERVER --invoke
    $answer = [System.Text.Json.Nodes.JsonNode]::Parse(($text -join "`n"))
    foreach ($warning in $answer['warnings']) { $Caller.WriteWarning([string] $warning) }
    $fault = $answer['error']
    if ($null -ne $fault) {
        $record = [System.Management.Automation.ErrorRecord]::new([Exception]::new([string] $fault['message']), [string] $fault['id'],
            [System.Management.Automation.ErrorCategory] [string] $fault['category'], $null)
        $Caller.ThrowTerminatingError($record)
    }
    foreach ($object in $answer['objects']) {
        if ($object -is [System.Text.Json.Nodes.JsonValue]) { $Caller.WriteObject([string] $object); continue }
        $out = [psobject]::new()
        foreach ($pair in $object.AsObject()) {
            $value = $pair.Value
            if ($value -is [System.Text.Json.Nodes.JsonArray]) { $value = [string[]] @($value | ForEach-Object { [string] $_ }) }
            elseif ($null -ne $value) {
                $kind = [string] $value.GetValueKind()
                $value = if ($kind -eq 'True') { $true } elseif ($kind -eq 'False') { $false } else { [string] $value }
            }
            $out.PSObject.Properties.Add([psnoteproperty]::new($pair.Key, $value))
        }
        $Caller.WriteObject($out)
    }
}

# The functions, one a cmdlet of this server's version; written out once, because asking for them costs a start of Python.
$script:Known = [System.IO.Path]::Combine($env:LAB_DIR, 'winrm', "$env:LAB_SERVER.ps1")
if (-not [System.IO.File]::Exists($script:Known)) {
    $text = (& $script:Back --dir $env:LAB_DIR --server $env:LAB_SERVER --module) -join "`n"
    [System.IO.File]::WriteAllText("$script:Known.$PID", $text)
    [System.IO.File]::Move("$script:Known.$PID", $script:Known, $true)
}
. ([scriptblock]::Create([System.IO.File]::ReadAllText($script:Known)))
# Part of every PowerShell, but not of the bare engine.
function Invoke-Expression { param([Parameter(Mandatory = $true)] [string] $Command) & ([scriptblock]::Create($Command)) }

Export-ModuleMember -Function *-*
